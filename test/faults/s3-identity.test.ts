// Who gives out access keys for S3: asked over connections of its own, whatever the bucket's server is trusted with.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { makeCertificate, type Certificate } from '../support/certificates.ts'
import { Listening } from '../support/listening.ts'
import { KEYS, ScriptedS3 } from '../support/scripted-s3.ts'

const NONE = new AbortController().signal
const ROLE = 'arn:aws:iam::123456789012:role/reader'

/** What STS answers to `action`. */
function assumed(action: string): string {
  const keys =
    '<AccessKeyId>ASIAASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>'
  const credentials = `<Credentials>${keys}<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>`
  return `<${action}Response><${action}Result>${credentials}</${action}Result></${action}Response>`
}

describeClient('openssl', findProgram('openssl'), openssl => {
  let folder: string
  let environment: NodeJS.ProcessEnv
  let certificate: Certificate
  let sts: Listening
  let s3: ScriptedS3
  let asked: string[]

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 's3-identity-'))
    certificate = makeCertificate(openssl, folder)
    asked = []
    sts = await Listening.start((request, response) => {
      request.setEncoding('utf8')
      let form = ''
      request.on('data', (text: string) => (form += text))
      request.on('end', () => {
        const action = new URLSearchParams(form).get('Action')!
        asked.push(action)
        response.writeHead(200, { 'content-type': 'text/xml' }).end(assumed(action))
      })
    }, certificate)
    s3 = await ScriptedS3.start(certificate)
    environment = { ...process.env }
    for (const name of Object.keys(process.env))
      if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, 'a-web-identity')
    const profile = `[profile named]\nrole_arn = ${ROLE}\nweb_identity_token_file = ${tokenFile}\n`
    writeFileSync(join(folder, 'config'), profile)
    Object.assign(process.env, {
      HOME: folder,
      AWS_CONFIG_FILE: join(folder, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'),
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_ENDPOINT_URL_STS: sts.origin,
    })
  })
  afterEach(async () => {
    process.env = environment
    await sts.close()
    await s3.close()
    rmSync(folder, { recursive: true })
  })

  const WAYS = [
    ['a role that keys assume', 'AssumeRole', () => ({ ...KEYS, AWS_ROLE_ARN: ROLE })],
    [
      'a web identity',
      'AssumeRoleWithWebIdentity',
      () => {
        process.env['AWS_WEB_IDENTITY_TOKEN_FILE'] = join(folder, 'token')
        process.env['AWS_ROLE_ARN'] = ROLE
        return {}
      },
    ],
    [
      'a web identity of a profile',
      'AssumeRoleWithWebIdentity',
      () => {
        process.env['AWS_PROFILE'] = 'named'
        return {}
      },
    ],
  ] as const

  it.each(WAYS)(
    '%s is not shown to an STS without a trusted certificate, also where the bucket needs none',
    async (_, __, prepare) => {
      const client = await s3.connect({ verifyTls: false }, prepare())
      await expect(client.list({ prefix: '', delimiter: '/', maxKeys: 10 }, NONE)).rejects.toMatchObject({
        reason: 'misconfigured',
        advice: expect.stringMatching(/access keys .*certificate is not trusted/) as string,
      })
      expect(asked).toEqual([])
      expect(s3.requests).toEqual([])
      client.close()
    },
  )

  it.each(WAYS)('%s is shown to an STS whose certificate the caFile trusts', async (_, action, prepare) => {
    const client = await s3.connect({ caFile: certificate.file }, prepare())
    await client.list({ prefix: '', delimiter: '/', maxKeys: 10 }, NONE)
    expect(asked).toEqual([action])
    expect(s3.requests[0]!.headers.authorization).toContain('Credential=ASIAASSUMED/')
    client.close()
    await sts.socketsDownTo(0)
  })
})
