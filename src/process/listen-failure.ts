// Why an address cannot be listened on.

/** What is wrong with an address to listen on, and what to do. `prefix` is that of the variables that set it. */
export function listenFailure(
  { code, message }: NodeJS.ErrnoException,
  host: string,
  port: number,
  prefix = '',
): string {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use: stop what listens there, or set ${prefix}PORT${prefix === '' ? ' (0 takes a free one)' : ''}.`
    case 'EACCES':
      return `port ${port} of ${host} may not be used by this user: set ${prefix}PORT to one from 1024 up.`
    case 'EADDRNOTAVAIL':
      return `${host} is not an address of this machine: set ${prefix}HOST.`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host name ${host} cannot be resolved: set ${prefix}HOST.`
    default:
      return `listening on ${host} port ${port} failed: ${message}.`
  }
}
