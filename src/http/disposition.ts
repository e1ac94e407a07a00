// Content-Disposition (RFC 6266, RFC 8187). Written here because of the order, which no library offers: Polyaxon dashboards read
// `filename` with JSON.parse(header.split('filename=')[1]), so it must be quoted and last, and Polyaxon's client knows an archive
// by `.tar.gz"` in the header. Clients of RFC 6266 prefer `filename*` wherever it stands (4.3).

/**
 * The header value that offers content under `filename`, one path segment of raw Unicode.
 *
 * Only visible ASCII and spaces come out. `filename*` carries the exact name, except that path separators are `_` and lone
 * surrogates U+FFFD, and is left out where the plain `filename` is exact already.
 */
export function contentDisposition(type: 'inline' | 'attachment', filename: string): string {
  // A client that ignores RFC 6266 4.3 would take separators for folders, backslashes on Windows.
  const name = filename.toWellFormed().replace(/[/\\]/g, '_')
  const fallback = asciiFallback(name)
  const extended = fallback === name ? '' : `; filename*=UTF-8''${encodeExtended(name)}`
  return `${type}${extended}; filename="${fallback}"`
}

/**
 * A name of plain ASCII that means the same as a quoted-string and in JSON, and that no client unquotes or decodes into
 * another: letters lose their accents, and each other character, or sequence that is read in two ways, becomes `_`.
 */
function asciiFallback(name: string): string {
  // Compatibility forms first, because some of them are the very characters that are taken out below: U+FF02 becomes a quote.
  const unaccented = name
    .normalize('NFKD')
    .replace(/\p{Mn}/gu, '')
    .normalize('NFC')
  const fallback = unaccented
    // No escapes, as RFC 6266 appendix D advises: curl drops a name with `\"` in it, wget keeps the backslash.
    .replace(/[^\x20-\x7e]|["\\/]/gu, '_')
    // wget and others decode percent sequences in `filename` (RFC 6266 appendix D).
    .replace(/%(?=[\da-f]{2})/gi, '_')
    // The dashboards would split the name itself here.
    .replaceAll('filename=', 'filename_')
  // U+2025 becomes two dots.
  return /^\.{0,2}$/.test(fallback) ? 'download' : fallback
}

/** ext-value of RFC 8187 3.2.1: encodeURIComponent leaves `'`, `(`, `)` and `*` as they are, which are no attr-char. */
function encodeExtended(name: string): string {
  return encodeURIComponent(name).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
