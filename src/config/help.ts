// What is generated from the tables of settings and store fields for people: `--help` and the tables of the documentation.
import { CONFIG_FILE_ENV, SETTING_KEYS, settingOf } from './settings.ts'
import { STORE_FIELD_NAMES, storeFieldOf, type StoreKind } from './store-fields.ts'
import { SECTION_VARIABLES } from './store-sections.ts'

const HELP_WIDTH = 100

export function helpText(): string {
  const rows = SETTING_KEYS.map(key => {
    const { flag, env, type, default: byDefault, meaning } = settingOf(key)
    const names = [flag === undefined ? undefined : `--${flag}`, env, key].filter(name => name !== undefined)
    const text = `${meaning} (${type.name}, default ${type.format(byDefault)})`
    return `  ${names.join('  ')}\n${wrapped(text.replaceAll('`', ''), HELP_WIDTH, '      ')}`
  })
  return `Usage: polyaxon-outputs [check | token] [options]

Serves the outputs of Polyaxon jobs and experiments over HTTP.

  check, --check
      Try the settings and every outputs store, print what each of them lets the service do, and
      exit without serving.

  token
      Print a new token to standard error, and to standard output its entry for the file of
      auth.tokensFile, which has only the hash of it. Name and scopes are to be filled in.

  --config FILE  ${CONFIG_FILE_ENV}
      YAML file with settings, nested by the dots of their key paths (server: {port: 8000}).
  --help, -h
      Print this text and exit.
  --version
      Print the version and exit.

Settings. Each is given by flag, environment variable or key path in the YAML file, whichever
of them is named; a flag wins over the environment, which wins over the file.

${rows.join('\n')}

Outputs stores are defined by Polyaxon's own configuration, in the YAML file or in a variable:

  persistence.outputs  ${SECTION_VARIABLES.outputs} (JSON)
      Stores by their names, as in the Helm values of Polyaxon 0.x.
  persistence.logs  ${SECTION_VARIABLES.logs} (JSON)
      The store of the logs of Polyaxon 0.x, which /api/v1 serves.
  artifactsStore  ${SECTION_VARIABLES.artifactsStore} (JSON)
  connections  ${SECTION_VARIABLES.connections} (JSON)
      The connections of Polyaxon 1.x and 2.x; the artifacts store comes first.

The first store of outputs is the default. docs/configuration.md describes their fields.

Exit codes: 0 after a stop by SIGTERM or SIGINT, 1 when the service cannot start or is stopped by a
second signal, 78 for faults in the settings. A check ends with 0 when everything that was tried
worked, with 1 when it did not, and with 78 for faults in the settings.
`
}

function wrapped(text: string, width: number, indent: string): string {
  const lines = [indent]
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line.length + 1 + word.length > width && line !== indent) lines.push(indent + word)
    else lines[lines.length - 1] = line === indent ? indent + word : `${line} ${word}`
  }
  return lines.join('\n')
}

/** The settings as a Markdown table, without a trailing newline. */
export function settingsTable(): string {
  const rows = SETTING_KEYS.map(key => {
    const { flag, env, type, default: byDefault, meaning } = settingOf(key)
    const names = [env, flag === undefined ? undefined : `--${flag}`].filter(name => name !== undefined)
    return [
      `\`${key}\``,
      names.map(name => `\`${name}\``).join(' '),
      type.name,
      `\`${type.format(byDefault)}\``,
      meaning,
    ]
  })
  return table(['Setting (YAML)', 'Environment, flag', 'Type', 'Default', 'Meaning'], rows)
}

/** The fields of outputs stores as a Markdown table, without a trailing newline. */
export function storeFieldsTable(): string {
  const rows = STORE_FIELD_NAMES.map(name => {
    const { kinds, type, default: byDefault, meaning } = storeFieldOf(name)
    return [
      `\`${name}\``,
      kinds.map(kind => KIND_WORDS[kind]).join(', '),
      type.name,
      byDefault ?? '',
      meaning,
    ]
  })
  return table(['Field', 'Stores', 'Type', 'Default', 'Meaning'], rows)
}

const KIND_WORDS: Readonly<Record<StoreKind, string>> = {
  local: 'volume',
  s3: 's3',
  gcs: 'gcs',
  azure: 'azure',
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows]
    .map(cells => `| ${cells.map(escapeCell).join(' | ')} |`)
    .join('\n')
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', '\\|')
}
