// What the service prints when it is up: where it is, and commands to paste.
import type { Examples } from './examples.ts'
import { printable } from './printable.ts'

export interface Facts {
  readonly version: string
  /** Without a last slash. */
  readonly url: string
  /** Where the outputs are: a path, or several stores. */
  readonly outputs: string
  /** Whether the outputs were just made, with the sample. */
  readonly made: boolean
}

/** Where the service is: two lines that are known as soon as it listens. */
export function addressText({ version, url, outputs, made }: Facts): string {
  return `
polyaxon-outputs ${version} serves ${printable(outputs)}${made ? ' (new, with a small sample in it)' : ''}
at ${url}/outputs/ (API reference: ${url}/docs)
`
}

/** Three commands to paste, with what they are for. `asksWho` is whether callers have to say who they are, of whom this process is none. */
export function commandsText(url: string, examples: Examples | undefined, asksWho: boolean): string {
  const lines =
    examples !== undefined ? commands(examples) : asksWho ? commandsWithToken(url) : generalCommands(url)
  return `\n${lines.join('\n')}\n\n`
}

/** URLs hold no `'`, so they can stand between them. */
function commands({ folder, file, range }: Examples): string[] {
  const name = decodeURIComponent(folder.split('/').slice(-3, -1).join('-')).replaceAll(/[^\w.-]/g, '_')
  return [
    'List a folder, read a range of bytes, and download a folder (run it again to resume):',
    '',
    `  curl '${folder}?format=text'`,
    `  curl -r ${range} '${file}'`,
    `  curl -C - -o ${name}.zip '${folder}?archive=zip'`,
  ]
}

function commandsWithToken(url: string): string[] {
  return [
    'Callers have to say who they are. With a token in the variable TOKEN, see what it gives access to, and what can be asked:',
    '',
    `  curl -H "Authorization: Bearer $TOKEN" '${url}/outputs/?format=text'`,
    `  curl '${url}/readyz'`,
    `  curl '${url}/openapi.yaml'`,
  ]
}

function generalCommands(url: string): string[] {
  return [
    'No run was found in it yet. See what is there, whether it can be read, and what can be asked:',
    '',
    `  curl '${url}/outputs/?format=text'`,
    `  curl '${url}/readyz'`,
    `  curl '${url}/openapi.yaml'`,
  ]
}
