// The field that says how many artifacts an answer left out because no path can name them: a header where that is known, a trailer where it turns out.

export const OMITTED = 'Outputs-Omitted'

/** Nothing where nothing was left out. */
export function omittedField(artifacts: number | undefined): Record<string, string> {
  return artifacts === undefined || artifacts === 0 ? {} : { [OMITTED]: String(artifacts) }
}
