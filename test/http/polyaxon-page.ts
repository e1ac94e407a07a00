// What docs/polyaxon.md shows to operators: its proxies, filled in for a test, and its list of checks.
import { readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'

const page = readFileSync(new URL('../../docs/polyaxon.md', import.meta.url), 'utf8')

export type Generation = '2.x' | '0.x'

/** Addresses of what nginx has behind it. */
export interface Behind {
  readonly polyaxon: string
  readonly outputs: string
}

/** The code after the line `<!-- kind: generation -->`. */
function blockOf(kind: string, generation: Generation): string {
  const marker = `<!-- ${kind}: ${generation} -->\n\n\`\`\``
  const start = page.indexOf(marker)
  if (start < 0) throw new Error(`docs/polyaxon.md has no ${kind} for ${generation}`)
  const begin = page.indexOf('\n', start + marker.length) + 1
  return page.slice(begin, page.indexOf('\n```\n', begin))
}

function replaceOnce(text: string, from: string | RegExp, to: string): string {
  const pieces = text.split(from)
  if (pieces.length !== 2) throw new Error(`${from} is there ${pieces.length - 1} times:\n${text}`)
  return pieces.join(to)
}

/** The page's nginx, as what stands in a block `http`. */
export function nginxOf(generation: Generation, address: string, { polyaxon, outputs }: Behind): string {
  const whole = blockOf('nginx', '2.x')
  const first = whole.indexOf('  location ~ ')
  const third = whole.indexOf('  location @refused')
  const text =
    generation === '2.x' ? whole : `${whole.slice(0, first)}${blockOf('nginx', '0.x')}\n${whole.slice(third)}`
  return [
    ['server polyaxon-polyaxon-gateway:80;', `server ${polyaxon};`],
    ['server polyaxon-outputs:8000;', `server ${outputs};`],
    ['listen 80;', `listen ${address};`],
  ].reduce((filled, [from, to]) => replaceOnce(filled, from!, to!), text)
}

interface Ingress {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
  readonly spec: {
    readonly rules: readonly [{ readonly http: { readonly paths: readonly [{ readonly path: string }] } }]
  }
}

interface IngressRules {
  /** The expression that paths have to match from their beginning on. */
  readonly path: string
  readonly authUrl: string
  readonly authHeaders: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export function ingressOf(generation: Generation): IngressRules {
  const [whole, configMap] = parseAllDocuments(blockOf('ingress', '2.x')).map(
    document => document.toJS() as unknown,
  ) as [Ingress, { readonly data: Readonly<Record<string, string>> }]
  const { metadata, spec } = generation === '2.x' ? whole : (parse(blockOf('ingress', '0.x')) as Ingress)
  const annotations = { ...whole.metadata.annotations, ...metadata.annotations }
  return {
    path: spec.rules[0].http.paths[0].path,
    authUrl: annotations['nginx.ingress.kubernetes.io/auth-url']!,
    authHeaders: generation === '2.x' ? configMap.data : { Accept: configMap.data['Accept']! },
    annotations,
  }
}

/** What ingress-nginx makes of the page's Ingress beside one that has Polyaxon at `/`. */
export function controllerOf(generation: Generation, address: string, { polyaxon, outputs }: Behind): string {
  const { path, authUrl, authHeaders, annotations } = ingressOf(generation)
  const said = (name: string): string => annotations[`nginx.ingress.kubernetes.io/${name}`]!
  const headers = Object.entries(authHeaders).map(([name, value]) => `proxy_set_header '${name}' '${value}';`)
  return `
  server {
    listen ${address};
    proxy_http_version 1.1;
    location ~* "^${path}" {
      auth_request /_external-auth;
      client_max_body_size ${said('proxy-body-size')};
      proxy_request_buffering ${said('proxy-request-buffering')};
      proxy_buffering ${said('proxy-buffering')};
      proxy_read_timeout ${said('proxy-read-timeout')}s;
      proxy_set_header Host $http_host;
      proxy_pass http://${outputs};
    }
    location = /_external-auth {
      internal;
      client_max_body_size ${said('proxy-body-size')};
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      ${headers.join('\n      ')}
      set $target "${replaceOnce(authUrl, /polyaxon-polyaxon-\w+\.polyaxon\.svc\.cluster\.local/, polyaxon)}";
      proxy_pass $target;
    }
    location ~* "^/" {
      proxy_set_header Host $http_host;
      proxy_pass http://${polyaxon};
    }
  }`
}

/** A line of the page's checks, as what a shell can run, with what it has to print. */
export interface Check {
  readonly command: string
  readonly printed: string
}

/** The checks, with other values for the variables that they begin with. */
export function checksOf(generation: Generation, values: Readonly<Record<string, string>>): readonly Check[] {
  const [before, lines] = blockOf('check', generation).split('\n\n')
  const setup = Object.entries(values).reduce(
    (text, [name, value]) => replaceOnce(text, new RegExp(`^${name}=.*$`, 'm'), `${name}='${value}'`),
    before!,
  )
  return lines!.split('\n').map(line => {
    const [command, said] = line.split(' # ')
    return { command: `${setup}\n${command}`, printed: said!.split(',')[0]! }
  })
}

/** The configuration that stands in for \`haupt viewer\`. */
export function viewerConfiguration(): string {
  return /```yaml\n(outputs:\n.*?)```\n/s.exec(page)![1]!
}

/** How the expression for 0.x ends where logs are served too. */
export function logsEnding(): string {
  return /write `(.*?)` as the end of the expression/.exec(page)![1]!
}
