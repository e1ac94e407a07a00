// Paths that lead out of a run, and the ways to write them so that somebody lets them through.

/** Places that no request may reach, relative to a run that lies `depth` folders below the root of its store. */
export function waysOut(depth: number, neighbour: string): readonly string[] {
  const up = '../'.repeat(depth)
  return [
    `../${neighbour}/secret.txt`,
    `folder/../../${neighbour}/secret.txt`,
    `${up}secret.txt`,
    `${up}../secret.txt`,
    `${up}../root0/secret.txt`,
    `${up}.polyaxon-outputs-uploads/mnist/experiments/1/secret.txt`,
    `${'../'.repeat(16)}etc/passwd`,
    '/etc/passwd',
  ]
}

/** As it is sent: in a URL the receiver decodes it once; elsewhere it is the text itself. */
export type Spelling = readonly [title: string, spell: (path: string) => string]

const each = (path: string, dots: string, slash: string): string =>
  path.replaceAll('..', dots).replaceAll('/', slash)

export const SPELLINGS: readonly (readonly [title: string, spellings: readonly Spelling[]])[] = [
  [
    'percent escapes',
    [
      ['as it is', path => path],
      ['dots in percent escapes', path => each(path, '%2e%2e', '/')],
      ['one dot escaped', path => each(path, '.%2E', '/')],
      ['slashes escaped', path => each(path, '..', '%2f')],
      ['all escaped', path => each(path, '%2e%2e', '%2F')],
      ['escaped twice (CVE-2024-1560)', path => each(path, '%252e%252e', '%252f')],
      ['slashes escaped twice', path => each(path, '..', '%252f')],
      ['escaped three times', path => each(path, '%25252e%25252e', '%25252f')],
    ],
  ],
  [
    'backslashes',
    [
      ['backslashes (CVE-2023-2780)', path => each(path, '..', '\\')],
      ['escaped backslashes', path => each(path, '..', '%5c')],
      ['backslashes escaped twice', path => each(path, '..', '%255c')],
      ['both slashes mixed', path => each(path, '..', '\\/')],
    ],
  ],
  [
    'other characters for the same',
    [
      ['overlong UTF-8 dots', path => each(path, '%c0%ae%c0%ae', '/')],
      ['overlong UTF-8 slashes', path => each(path, '..', '%c0%af')],
      ['longer overlong UTF-8', path => each(path, '%e0%80%ae%e0%80%ae', '%e0%80%af')],
      ['UTF-16 escapes', path => each(path, '%u002e%u002e', '%u2215')],
      ['full-width characters', path => each(path, '\uff0e\uff0e', '\uff0f')],
      ['look-alike slashes', path => each(path, '..', '\u2215')],
      ['two-dot leader', path => each(path, '\u2025', '/')],
    ],
  ],
  [
    'what one parser sees and another does not',
    [
      ['path parameters (CVE-2024-1593)', path => each(path, '..;', '/')],
      ['path parameters with values', path => each(path, '..;a=b', '/')],
      ['a fragment (CVE-2024-3848)', path => `#/${path}`],
      ['a URL with a fragment (CVE-2024-1483)', path => `http:///#/${path}`],
      ['a query (mlflow#10653)', path => `?/${path}`],
      ['an escaped query', path => `inside.txt%3f/../${path}`],
    ],
  ],
  [
    'what is between or behind',
    [
      ['NUL in front', path => `%00${path}`],
      ['NUL behind', path => `${path}%00.txt`],
      ['NUL among the dots', path => each(path, '.%00.', '/')],
      ['a real NUL', path => `${path}\0.txt`],
      ['CR LF among the dots', path => each(path, '..%0d%0a', '/')],
      ['a tab behind the dots', path => each(path, '..%09', '/')],
      ['blanks behind the dots', path => each(path, '..%20', '/')],
      ['dots behind the dots', path => each(path, '...', '/')],
    ],
  ],
  [
    'what filters leave, and detours',
    [
      ['what a filter of ../ leaves', path => path.replaceAll('../', '....//')],
      ['what a filter of ./ leaves', path => path.replaceAll('../', '..././')],
      ['single dots between', path => path.replaceAll('../', './.././')],
      ['slashes doubled', path => path.replaceAll('/', '//')],
      ['behind a file', path => `inside.txt/../${path}`],
      ['behind what is not there', path => `nothing/../${path}`],
    ],
  ],
  [
    'absolute paths and URLs',
    [
      ['absolute', path => `/${path}`],
      ['absolute twice (CVE-2023-6977)', path => `//${path}`],
      ['escaped absolute (CVE-2023-37474)', path => `%2F${path}`],
      ['the root of the process (CVE-2023-6977)', path => `//proc/self/root/${path}`],
      ['the folder of the process', path => `/proc/self/cwd/${path}`],
      ['a file URL (CVE-2023-2356)', path => `file://${path}`],
      ['a local file URL', path => `file:${path}`],
      ['a drive', path => `C:\\${path}`],
      ['a share', path => `\\\\localhost\\c$\\${path}`],
      ['a template (argo#3016)', path => `{{${path}}}`],
      ['a variable', path => `\${PWD}/${path}`],
      ['a home', path => `~/${path}`],
      ['a command', path => `$(cat ${path})`],
      ['an S3 URL', path => `s3://${path}`],
      ['an address of the cloud (mlflow#24767)', path => `http://169.254.169.254/${path}`],
      ['a string that ends', path => `';cat ${path};'`],
      ['much in front', path => `${'a/'.repeat(300)}${'../'.repeat(300)}${path}`],
      ['a long name', path => `${'a'.repeat(300)}/../${path}`],
    ],
  ],
]
