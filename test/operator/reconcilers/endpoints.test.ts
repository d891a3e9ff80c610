import { expect, test } from 'vitest'
import { credentialsOf } from '../../../operator/reconcilers/endpoints.ts'

const endpoints = { host: 'fd00::1', mqttsPort: 8883, wssPort: 18_885 }

test.each([
  [undefined, 'wss://[fd00::1]:18885/'],
  ['', 'wss://[fd00::1]:18885/'],
  ['wss://ws.example.com/', 'wss://ws.example.com/'],
])('a generated Secret says where WebSocket clients go, with the URL %j', (wssUrl, uri) => {
  const given = wssUrl === undefined ? endpoints : { ...endpoints, wssUrl }
  const secret = credentialsOf('ada@org_k7xm4pqr2n5t', 'cs_mp_x', given)
  expect(secret).toMatchObject({ uri: 'mqtts://[fd00::1]:8883', 'wss-uri': uri })
})
