// What is generated from the table of settings for people: `--help` and the table of the documentation.
import { CONFIG_FILE_ENV, SETTING_KEYS, settingOf } from './settings.ts'

const HELP_WIDTH = 100

export function helpText(): string {
  const rows = SETTING_KEYS.map(key => {
    const { flag, env, type, default: byDefault, meaning } = settingOf(key)
    const names = [flag === undefined ? undefined : `--${flag}`, env, key].filter(name => name !== undefined)
    const text = `${meaning} (${type.name}, default ${type.format(byDefault)})`
    return `  ${names.join('  ')}\n${wrapped(text.replaceAll('`', ''), HELP_WIDTH, '      ')}`
  })
  return `Usage: polyaxon-outputs [options]

Serves the outputs of Polyaxon jobs and experiments over HTTP.

  --config FILE  ${CONFIG_FILE_ENV}
      YAML file with settings, nested by the dots of their key paths (server: {port: 8000}).
  --help, -h
      Print this text and exit.
  --version
      Print the version and exit.

Settings. Each is given by flag, environment variable or key path in the YAML file, whichever
of them is named; a flag wins over the environment, which wins over the file.

${rows.join('\n')}

Exit codes: 0 after a stop by SIGTERM or SIGINT, 1 when the service cannot start or is stopped by a
second signal, 78 for faults in the settings.
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
  const head = ['Setting (YAML)', 'Environment, flag', 'Type', 'Default', 'Meaning']
  return [head, head.map(() => '---'), ...rows]
    .map(cells => `| ${cells.map(escapeCell).join(' | ')} |`)
    .join('\n')
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', '\\|')
}
