import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Audit } from '#core/audit/audit.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { refusalEvent } from '../audit/refusal-event.ts'
import { isTrusted } from '../callers/caller.ts'
import type { Answerable, Face } from '../faces/face.ts'
import { problemJson } from '../faces/problem-json.ts'
import { problemOf } from '../problem-of.ts'
import { ProblemError } from '../problems.ts'
import { TokenRefused } from '../verifier/token-refused.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** In whose words problems are answered; problem+json where there is none. */
    readonly face?: Face
  }
}

interface ErrorsOptions {
  readonly log: Log
  readonly audit: Audit
  /** A request was one too many, by this limit. */
  readonly onLimited: (limit: string) => void
}

/** Answers everything that goes wrong, in the words of the route's face, and writes down what is a refusal. */
export function answerErrors(app: FastifyInstance, { log, audit, onLimited }: ErrorsOptions): void {
  app.setErrorHandler((error, request, reply) => {
    const event = refusalEvent(error, request)
    if (event !== undefined) audit.record(event)
    if (event?.event === 'request.limited') onLimited(event.reason)
    return answer(error, request, reply, log)
  })
  app.setNotFoundHandler((request, reply) => answer(new ProblemError('not_found'), request, reply, log))
}

/** For fastify's option `frameworkErrors`: what goes wrong before there is a route, such as `/%zz`. */
export function answerFrameworkError(
  log: Log,
): (error: Error, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    // No hook has run yet.
    void answer(error, request, reply.header('cache-control', 'no-store'), log)
  }
}

/** For fastify's option `clientErrorHandler`: what is no HTTP. */
export function answerBrokenRequest(_error: Error, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const body = JSON.stringify(problemJson.say({ code: 'invalid_request' }).body)
  const head = [
    'HTTP/1.1 400 Bad Request',
    `content-type: ${problemJson.mediaType}`,
    'cache-control: no-store',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function answer(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  const problem = problemOf(error)
  if (problem.code === 'internal_error') log.error(errorFields(error), 'a request failed')
  const face = request.routeOptions?.config?.face ?? problemJson
  const { status, headers = {}, body } = face.say(answerable(error, problem, request))
  return reply
    .code(status)
    .headers({ ...problem.options.headers, ...headers })
    .type(face.mediaType)
    .send(body)
}

function answerable(error: unknown, { code, options }: ProblemError, request: FastifyRequest): Answerable {
  const mayKnow = isTrusted(request.caller)
  const { detail, errors } = options
  return {
    // Whoever tries out forged tokens learns nothing from the answer.
    code: error instanceof TokenRefused && !mayKnow ? 'invalid_token' : code,
    ...(detail === undefined || !mayKnow ? {} : { detail }),
    ...(errors === undefined ? {} : { errors }),
    ...(error instanceof TokenRefused ? { failure: error.failure } : {}),
  }
}
