import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { performance } from 'node:perf_hooks'
import type { FastifyServerFactory } from 'fastify'
import type { Face } from '../faces/face.ts'
import { hosted } from '../faces/hosted.ts'
import { oauth } from '../faces/oauth.ts'
import { problemJson } from '../faces/problem-json.ts'
import type { LoadShedder } from '../limits/load-shedder.ts'

const everyMs = 25
const retryAfterSeconds = 2

/**
 * For fastify's option `serverFactory`: while there is more to do than can be done, requests are refused with 503 before
 * they are routed, which costs a tenth of what they would.
 */
export function sheddingServer(shedder: LoadShedder, onShed: () => void): FastifyServerFactory {
  return (handler, options) => {
    const listener: RequestListener = (request, response) => {
      if (shedder.admit()) {
        const began = performance.now()
        response.on('close', () => shedder.done(performance.now() - began))
        return handler(request, response)
      }
      onShed()
      return refuse(request, response)
    }
    const { keepAliveTimeout = 0, requestTimeout = 0 } = options as Partial<Server>
    const server = createServer({ keepAliveTimeout, requestTimeout }, listener)
    const stop = watchLoop(shedder)
    server.once('close', stop)
    return server
  }
}

function watchLoop(shedder: LoadShedder): () => void {
  let due = performance.now() + everyMs
  let last = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.now()
    const used = performance.eventLoopUtilization(last)
    last = performance.eventLoopUtilization()
    shedder.observe({ lateMs: Math.max(0, now - due), utilization: used.utilization })
    due = now + everyMs
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

const answers = { own: answerOf(problemJson), hosted: answerOf(hosted), oauth: answerOf(oauth) }

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: string
}

/** In the words of each face, written down once. */
function answerOf(face: Face): Answer {
  const { status, headers = {}, body } = face.say({ code: 'overloaded' })
  const text = JSON.stringify(body)
  return {
    status,
    body: text,
    headers: {
      ...headers,
      'content-type': face.mediaType,
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
      'retry-after': retryAfterSeconds,
    },
  }
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  const { status, headers, body } = answerFor(request.url ?? '')
  request.resume()
  response.sendDate = false
  response.writeHead(status, headers)
  response.end(body)
}

function answerFor(url: string): Answer {
  if (url.startsWith('/v2/')) return answers.hosted
  return url.startsWith('/oauth2/') ? answers.oauth : answers.own
}
