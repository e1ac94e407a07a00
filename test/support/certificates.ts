// Certificates that sign themselves, by openssl.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificate {
  /** Path of the certificate in PEM. */
  readonly file: string
  readonly cert: Buffer
  readonly key: Buffer
}

/** In `folder`, for the host 127.0.0.1. */
export function makeCertificate(openssl: string, folder: string): Certificate {
  const file = join(folder, 'certificate.pem')
  const keyFile = join(folder, 'key.pem')
  const subject = ['-subj', '/CN=storage', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', keyFile, '-out', file]
  const options = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, ...files]
  execFileSync(openssl, ['req', ...options], { stdio: 'pipe' })
  return { file, cert: readFileSync(file), key: readFileSync(keyFile) }
}
