import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { chartDirectory, manyValues, renderText } from './render.ts'

const templates = readdirSync(join(chartDirectory, 'templates'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.yaml'))
  .map(({ parentPath, name }) => relative(chartDirectory, join(parentPath, name)))

/** Which templates gave an object. */
async function rendered(values: object): Promise<ReadonlySet<string>> {
  const found = (await renderText(values)).matchAll(/^# Source: cloudsignal\/(.*)\n(?=\w)/gm)
  return new Set([...found].map(([, path = '']) => path))
}

const enabled = { enabled: true }

test('each template gives an object where its values are given', async () => {
  const all = await rendered({
    ...manyValues,
    sealing: {},
    redis: { mode: 'development' },
    operator: { ...manyValues.operator, replicas: 2 },
    broker: {
      ...manyValues.broker,
      tls: { certManager: { enabled: true, issuerRef: { name: 'ca' } } },
    },
    tokenService: {
      ...manyValues.tokenService,
      serviceAccount: {},
      autoscaling: { enabled: true, minReplicas: 2 },
      usersApi: enabled,
    },
    monitoring: { monitors: enabled, rules: enabled, dashboards: enabled },
  })
  expect([...all].toSorted()).toEqual(templates.toSorted())
})

test('few of them do by default', async () => {
  const some = await rendered({})
  expect(some.size).toBeGreaterThan(5)
  expect(some.size).toBeLessThan(templates.length - 5)
})
