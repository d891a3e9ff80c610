import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isTrusted } from '../callers/caller.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { problemOf } from '../problem-of.ts'
import { type ProblemCode, ProblemError, type ProblemOptions, problems } from '../problems.ts'
import { TokenRefused } from '../verifier/token-refused.ts'

/** A problem as the caller may hear of it. */
export interface Answerable extends Pick<ProblemOptions, 'detail' | 'errors'> {
  readonly code: ProblemCode
  readonly headers: Readonly<Record<string, string>>
  /** Set by nobody but the verifier. */
  readonly failure?: TokenRefused['failure']
}

/** How one face of the service says what went wrong. */
export type ProblemWriter = (problem: Answerable, reply: FastifyReply) => FastifyReply

/** For a route's `errorHandler`: problems in the words of its face. */
export function answerWith(
  write: ProblemWriter,
  log: Log,
): (error: Error, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => void write(answerable(error, request, log), reply)
}

/** Makes problem+json (RFC 9457) of everything that goes wrong. */
export function answerErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => writeProblem(answerable(error, request, log), reply))
  app.setNotFoundHandler((request, reply) =>
    writeProblem(answerable(new ProblemError('not_found'), request, log), reply),
  )
}

/** For fastify's option `frameworkErrors`: what goes wrong before there is a route, such as `/%zz`. */
export function answerFrameworkError(
  log: Log,
): (error: Error, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    // No hook has run yet.
    void writeProblem(answerable(error, request, log), reply.header('cache-control', 'no-store'))
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

function answerable(error: unknown, request: FastifyRequest, log: Log): Answerable {
  const problem = problemOf(error)
  if (problem.code === 'internal_error') log.error(errorFields(error), 'a request failed')
  const { detail, errors, headers = {} } = problem.options
  const mayKnow = isTrusted(request.caller)
  // Whoever tries out forged tokens learns nothing from the answer.
  const code = error instanceof TokenRefused && !mayKnow ? 'invalid_token' : problem.code
  return {
    code,
    headers,
    ...(detail === undefined || !mayKnow ? {} : { detail }),
    ...(errors === undefined ? {} : { errors }),
    ...(error instanceof TokenRefused ? { failure: error.failure } : {}),
  }
}

const writeProblem: ProblemWriter = ({ code, headers, detail, errors }, reply) =>
  reply
    .code(problems[code].status)
    .headers({ ...headers, ...(problems[code].status === 401 ? challenge(code) : {}) })
    .type('application/problem+json')
    .send({
      ...problemBody(code),
      ...(detail === undefined ? {} : { detail }),
      ...(errors === undefined ? {} : { errors }),
    })

function problemBody(code: ProblemCode): object {
  const { status, title } = problems[code]
  return { type: `https://cloudsignal.app/problems/${code}`, title, status, code }
}

/** RFC 9110 §15.5.2: a 401 names the scheme; RFC 6750 §3.1: `invalid_token` is about the bearer token itself. */
export function challenge(code: ProblemCode): { readonly 'www-authenticate': string } {
  const error = code === 'invalid_api_key' ? ', error="invalid_token"' : ''
  return { 'www-authenticate': `Bearer realm="cloudsignal"${error}` }
}

/** What a problem is, in one text. */
export function describe({ code, detail, errors = [] }: Answerable): string {
  const fields = errors.map(({ field, remedy }) => `${field}: ${remedy}`)
  return [problems[code].title, ...(detail === undefined ? [] : [detail]), ...fields].join('; ')
}
