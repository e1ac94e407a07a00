// The Python client and the command line of Polyaxon 0.6, over each kind of store.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { bytes } from '../contract/harness.ts'
import { describeEach } from '../support/stores.ts'
import { OWNER, PROJECT } from './polyaxon-api.ts'
import { RUN_FILES } from './polyaxon-files.ts'
import { fill, POLYAXON_STORES, serveRuns, treeOfFiles, unpack } from './polyaxon-runs.ts'
import type { ServedRuns } from './polyaxon-runs.ts'
import { describeClient } from './programs.ts'
import { findPythonWith } from './python-environment.ts'
import { PythonSession } from './python-session.ts'
import { run as runProgram, type Finished } from './run.ts'

/** Its last release is older than what its dependencies have dropped since: `soft_unicode`, and in Python 3.12 `distutils`. */
const PACKAGES = {
  name: 'polyaxon-0',
  packages: ['polyaxon-client==0.6.1', 'polyaxon-cli==0.6.1', 'markupsafe==2.0.1', 'setuptools==75.8.0'],
  imports: 'polyaxon_cli, pkg_resources',
}
const SCRIPT = fileURLToPath(new URL('python/polyaxon_0.py', import.meta.url))
const COLLECTIONS = fileURLToPath(new URL('python/collections_as_before', import.meta.url))

const ENTITIES = [
  { what: 'a job', entity: 'job', option: '-j', id: '1', path: `${OWNER}/${PROJECT}/jobs/1` },
  {
    what: 'an experiment',
    entity: 'experiment',
    option: '-xp',
    id: '2',
    path: `${OWNER}/${PROJECT}/experiments/2`,
  },
  {
    what: 'an experiment of a group',
    entity: 'experiment',
    option: '-xp',
    id: '7',
    path: `${OWNER}/${PROJECT}/groups/3/7`,
  },
] as const

const LOG = 'epoch 1: größer\nepoch 2\n'

describeClient('polyaxon-client 0.6', await findPythonWith(PACKAGES), python => {
  describeEach(POLYAXON_STORES, kind => {
    let runs: ServedRuns
    let session: PythonSession
    /** Where the client works and downloads to: new for each test. */
    let folder: string

    beforeAll(async () => {
      runs = await serveRuns(kind)
      for (const { path } of ENTITIES) {
        await fill(runs.store, path, RUN_FILES)
        await runs.logs.write(path, bytes(LOG))
      }
      session = await PythonSession.start(python, SCRIPT, {
        cwd: await runs.makeFolder(),
        env: await surroundings(runs),
      })
    })
    afterAll(async () => {
      await session.close()
      await runs.close()
    })
    beforeEach(async () => {
      folder = await runs.makeFolder()
      runs.api.take()
    })

    it.each(ENTITIES)('downloads the outputs of $what', async ({ entity, id }) => {
      const call = {
        entity,
        method: 'download_outputs',
        arguments: [OWNER, PROJECT, Number(id)],
        named: {},
        folder,
      }
      const archive = `${OWNER}.${PROJECT}.${id}.tar.gz`
      expect(await session.ask(call)).toEqual({ returned: archive })
      expect(await unpack(join(folder, archive), await runs.makeFolder())).toEqual(treeOfFiles(RUN_FILES))
      expect(runs.api.take()).toMatchObject([
        {
          ...{ method: 'GET', target: `/api/v1/${OWNER}/${PROJECT}/${entity}s/${id}/outputs/download/` },
          headers: { authorization: 'Token secret-of-ann' },
        },
      ])
    })

    it.each(ENTITIES)('reads the log of $what', async ({ entity, id }) => {
      const named = { stream: false }
      const call = { entity, method: 'logs', arguments: [OWNER, PROJECT, Number(id)], named, folder }
      expect(await session.ask(call)).toEqual({ returned: LOG })
    })

    it('saves nothing of what is not there', async () => {
      const call = {
        entity: 'job',
        method: 'download_outputs',
        arguments: [OWNER, PROJECT, 99],
        named: {},
        folder,
      }
      expect(await session.ask(call)).toEqual({ returned: null })
    })

    it('downloads outputs by the command line', async () => {
      const finished = await Promise.all(
        ENTITIES.map(({ entity, option, id }) => polyaxon(entity, option, id, 'outputs')),
      )
      expect(finished.map(({ code, stdout }) => [code, stdout.toString().trim()])).toEqual(
        ENTITIES.map(() => [0, 'Files downloaded.']),
      )
      for (const { id } of ENTITIES) {
        const archive = join(folder, `${OWNER}.${PROJECT}.${id}.tar.gz`)
        expect(await unpack(archive, await runs.makeFolder())).toEqual(treeOfFiles(RUN_FILES))
      }
    })

    it('shows a log by the command line', async () => {
      const [job, experiment] = await Promise.all([
        polyaxon('job', '-j', '1', 'logs', '--past'),
        polyaxon('experiment', '-xp', '7', 'logs', '--past'),
      ])
      for (const { code, stdout } of [job, experiment]) {
        expect(code).toBe(0)
        expect(stdout.toString().trim()).toBe(LOG.trim())
      }
    })

    /** Runs a command about an entity; each has a home of its own, because all would write into one. */
    async function polyaxon(
      entity: string,
      option: string,
      id: string,
      ...command: string[]
    ): Promise<Finished> {
      const args = [entity, '-p', `${OWNER}/${PROJECT}`, option, id, ...command]
      const env = await surroundings(runs)
      return runProgram(join(dirname(python), 'polyaxon'), args, { cwd: folder, env })
    }
  })
})

/** With a home of its own, in which the client's configuration is: the command line reads no other, and writes there what it has found out about the server. */
async function surroundings({ api, makeFolder }: ServedRuns): Promise<Record<string, string>> {
  const home = await makeFolder()
  const configured = join(home, '.polyaxon')
  await mkdir(configured)
  const server = { host: '127.0.0.1', port: String(api.port) }
  const user = { username: OWNER, token: 'secret-of-ann' }
  await writeFile(join(configured, '.polyaxonconfig'), JSON.stringify(server))
  await writeFile(join(configured, '.polyaxonauth'), JSON.stringify(user))
  return { HOME: home, PYTHONPATH: COLLECTIONS }
}
