// Which of the service's two trees a URL is in.

/** Whether `url`, with its query, names `folder` or something in it. */
export function isBelow(folder: string, url: string): boolean {
  const { length } = folder
  return url.startsWith(folder) && (url.length === length || url[length] === '/' || url[length] === '?')
}
