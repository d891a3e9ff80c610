/**
 * `node stock-aedes-program.ts memory` or `… redis://127.0.0.1:6379/0`: aedes as its README shows it, with
 * mqemitter-redis and aedes-persistence-redis. Everybody may do everything. Prints the port it took.
 */
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'

type OnRedis = (options: { readonly connectionString?: string; readonly conn?: unknown }) => unknown

// They bring no types, or others than these.
const require = createRequire(import.meta.url)
const emitterOnRedis = require('mqemitter-redis') as OnRedis
const persistenceOnRedis = require('aedes-persistence-redis') as OnRedis
const { Redis } = require('ioredis') as typeof import('ioredis')

const [where = 'memory'] = process.argv.slice(2)
const broker = await Aedes.createBroker(
  where === 'memory'
    ? {}
    : {
        mq: emitterOnRedis({ connectionString: where }),
        persistence: persistenceOnRedis({ conn: new Redis(where) }),
      },
)
const server = createServer(broker.handle).listen(0, '127.0.0.1', 1024, () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`)
})
