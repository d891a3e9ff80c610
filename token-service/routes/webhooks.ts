import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import { parseOrganizationId } from '#core/organizations/organization-id.ts'
import type { Log } from '#core/process/logger.ts'
import type { ControlLogWitness } from '#core/stores/control-log.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { DomainError } from '#core/errors.ts'
import type { App } from '../app.ts'
import { auditedFields } from '../audit/audited-request.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { bodyProblems } from '../openapi/route-docs.ts'
import { ProblemError } from '../problems.ts'
import type { JsonObject } from '../verifier/compact-token.ts'
import {
  carryOut,
  judgeWebhook,
  type WebhookDependencies,
  type WebhookSender,
} from '../webhooks/take-webhook.ts'
import { confirmed } from './revocations.ts'
import { organizationId, provider } from './request-fields.ts'

export interface WebhooksRouteOptions extends WebhookDependencies {
  readonly identities: IdentityReader
  readonly control: ControlLogWitness
  readonly metrics: TokenServiceMetrics
  readonly log: Log
  readonly audit: Audit
}

/** A user with all that an application may have stored with them. */
const bodyLimit = 256 * 1024

const Params = Type.Object({ organization: organizationId, provider })
const Event = Type.Object({ type: Type.String({ description: 'What happened, in the provider’s words.' }) })
const Answer = Type.Object({
  outcome: Type.Enum(['revoked', 'ignored'], {
    description: 'ignored: nothing follows from an event of this type.',
  }),
})

export function webhooksRoute(app: App, options: WebhooksRouteOptions): void {
  app.post(
    '/v1/webhooks/:organization/:provider',
    {
      bodyLimit,
      schema: { params: Params, body: Event, response: { 200: Answer } },
      config: {
        refusal: 'webhook.refused',
        keepsBytes: true,
        docs: {
          tag: 'Webhooks',
          summary: 'Take a webhook of an identity provider',
          description:
            'Of Clerk (svix-id, svix-timestamp, svix-signature) or Supabase (webhook-id, webhook-timestamp, ' +
            'webhook-signature; Standard Webhooks), signed with what spec.webhook of the IdentityProvider names. Who ' +
            'was deleted or banned is revoked, and so is what was exchanged in a session that ended.',
          caller: 'signature',
          problems: [...bodyProblems, 'invalid_webhook'],
          example: { type: 'user.deleted', data: { id: 'user_2Q9vVXS', deleted: true } },
        },
      },
    },
    async (request, reply): Promise<Static<typeof Answer>> => {
      const sender = await senderOf(options, request.params, request, reply)
      const event = request.body as JsonObject
      const { headers, sentBytes: bytes = Buffer.alloc(0) } = request
      const header = (name: string): string | undefined => {
        const value = headers[name]
        return typeof value === 'string' ? value : undefined
      }
      const verdict = await judgeWebhook(options, sender, { header, bytes, event })
      if (verdict.failure !== undefined) throw await refusal(request, reply, verdict.failure)
      await app.limits.ofWebhook(sender.organization, request.params.provider, reply)
      const { webhooks, remember } = verdict
      const consequence = webhooks.consequenceOf(event, options.now())
      if (consequence === undefined) {
        await remember()
        return { outcome: 'ignored' }
      }
      const positions = await carryOut(options, sender, webhooks, consequence)
      const { cause, subject, session } = consequence
      const target = session === undefined ? 'subject' : 'session'
      const { provider } = request.params
      options.audit.record({
        ...auditedFields(request),
        event: 'credential.revoked',
        target,
        provider,
        subject,
        session,
        webhook: cause,
      })
      await remember()
      if (positions.length > 0) await confirmed(options, sender.organization, positions)
      return { outcome: 'revoked' }
    },
  )
}

/** One that is not there is answered as one whose signature is wrong. */
async function senderOf(
  { identities }: WebhooksRouteOptions,
  { organization: id, provider }: Static<typeof Params>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<WebhookSender> {
  const organization = parseOrganizationId(id)
  const record =
    organization === undefined ? undefined : await identities.get('provider', organization, provider)
  if (organization !== undefined && record !== undefined) {
    Object.assign(request.audited, { organization, provider })
    return { organization, record }
  }
  if (organization !== undefined && !(await identities.isReady())) {
    throw new DomainError('store-not-ready', 'the records of identity providers are not there yet')
  }
  throw await refusal(request, reply, 'not-configured')
}

/** Whoever tries out signatures counts by where they come from. */
async function refusal(request: FastifyRequest, reply: FastifyReply, why: string): Promise<ProblemError> {
  await request.server.limits.ofAddress(request.ip, reply)
  return new ProblemError('invalid_webhook', { why })
}
