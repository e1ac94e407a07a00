// Settings from the command line.
import { didYouMean, type Fault } from './fault.ts'
import { SETTING_KEYS, settingOf, type SettingKey } from './settings.ts'
import type { Found, Source } from './source.ts'
import { boolean } from './value.ts'

export interface CommandLine extends Source {
  /** The operand of `--config`. */
  readonly configFile: string | undefined
  /** `check` or `--check`: look at everything, start nothing. */
  readonly wantsCheck: boolean
  /** `token`: make one, and start nothing. */
  readonly wantsToken: boolean
  readonly wantsHelp: boolean
  readonly wantsVersion: boolean
}

const KEY_BY_FLAG = new Map<string, SettingKey>(
  SETTING_KEYS.flatMap(key => {
    const { flag } = settingOf(key)
    return flag === undefined ? [] : [[`--${flag}`, key] as const]
  }),
)
const ALL_FLAGS = ['--config', '--check', '--help', '--version', ...KEY_BY_FLAG.keys()]

/** Reads `--flag value` and `--flag=value`; a boolean flag stands alone or has `=true` or `=false`. The last of several wins. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const faults: Fault[] = []
  const found: Found[] = []
  let configFile: string | undefined
  let wantsCheck = false
  let wantsToken = false
  let wantsHelp = false
  let wantsVersion = false
  for (let i = 0; i < argv.length; i++) {
    const [flag, inline] = splitFlag(argv[i]!)
    if (flag === '--help' || flag === '-h') wantsHelp = true
    else if (flag === '--version') wantsVersion = true
    else if (argv[i] === '--check' || (argv[i] === 'check' && i === 0)) wantsCheck = true
    else if (argv[i] === 'token' && i === 0) wantsToken = true
    else if (flag !== '--config' && !KEY_BY_FLAG.has(flag)) {
      faults.push({ where: flag, problem: unknownArgument(flag) })
      // What follows an unknown flag is most likely its value, and no second fault.
      if (flag.startsWith('--') && inline === undefined && isValue(argv[i + 1])) i++
    } else {
      const key = KEY_BY_FLAG.get(flag)
      const value = inline ?? (standsAlone(key) ? 'true' : isValue(argv[i + 1]) ? argv[++i] : undefined)
      if (value === undefined) faults.push({ where: flag, problem: 'needs a value' })
      else if (key === undefined) configFile = value
      else found.push({ key, where: flag, value })
    }
  }
  return { found, faults, configFile, wantsCheck, wantsToken, wantsHelp, wantsVersion }
}

function splitFlag(argument: string): [flag: string, inline: string | undefined] {
  const equals = argument.startsWith('--') ? argument.indexOf('=') : -1
  return equals < 0 ? [argument, undefined] : [argument.slice(0, equals), argument.slice(equals + 1)]
}

function isValue(argument: string | undefined): boolean {
  return argument !== undefined && !argument.startsWith('--')
}

function standsAlone(key: SettingKey | undefined): boolean {
  return key !== undefined && settingOf(key).type === boolean
}

function unknownArgument(argument: string): string {
  if (!argument.startsWith('-')) return 'is not an option; see --help'
  return `is not a known option${didYouMean(argument, ALL_FLAGS)}; see --help`
}
