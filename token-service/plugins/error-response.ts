import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorFields, type Log } from '#core/process/logger.ts'
import { problemOf } from '../problem-of.ts'
import { type ProblemCode, ProblemError, problems } from '../problems.ts'
import { TokenRefused } from '../verifier/token-refused.ts'

/** Makes problem+json (RFC 9457) of everything that goes wrong. */
export function answerErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => answer(error, request, reply, log))
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
  const body = JSON.stringify(problemBody('invalid_request'))
  const head = [
    'HTTP/1.1 400 Bad Request',
    'content-type: application/problem+json',
    'cache-control: no-store',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function answer(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  const problem = problemOf(error)
  if (problem.code === 'internal_error') log.error(errorFields(error), 'a request failed')
  const isTrusted = request.caller?.record.type === 'secret'
  // Whoever tries out forged tokens learns nothing from the answer.
  const code = error instanceof TokenRefused && !isTrusted ? 'invalid_token' : problem.code
  const { detail, errors, headers = {} } = problem.options
  return reply
    .code(problems[code].status)
    .headers({ ...headers, ...(problems[code].status === 401 ? challenge(code) : {}) })
    .type('application/problem+json')
    .send({
      ...problemBody(code),
      ...(detail === undefined || !isTrusted ? {} : { detail }),
      ...(errors === undefined ? {} : { errors }),
    })
}

function problemBody(code: ProblemCode): object {
  const { status, title } = problems[code]
  return { type: `https://cloudsignal.app/problems/${code}`, title, status, code }
}

/** RFC 9110 §15.5.2: a 401 names the scheme; RFC 6750 §3.1: `invalid_token` is about the bearer token itself. */
function challenge(code: ProblemCode): { readonly 'www-authenticate': string } {
  const error = code === 'invalid_api_key' ? ', error="invalid_token"' : ''
  return { 'www-authenticate': `Bearer realm="cloudsignal"${error}` }
}
