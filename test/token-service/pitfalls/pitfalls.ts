/**
 * What verifiers of identity tokens get wrong, and the tests by which this one is known not to. A rule is kept where the
 * titles of its tests stand in the files that are named.
 */
export interface Pitfall {
  readonly rule: string
  /** By file, from `test/`: the titles, or the names of the cases, as they stand there. */
  readonly tests: Readonly<Record<string, readonly string[]>>
}

const forgeries = 'fixtures/token-forgeries.ts'
const samples = 'fixtures/provider-samples.ts'
const contract = 'contracts/identity-provider.ts'
const own = 'token-service/pitfalls/pitfalls.test.ts'
const cache = 'token-service/verifier/jwks-cache.test.ts'
const fetching = 'token-service/verifier/guarded-fetch.test.ts'
const hostile = 'token-service/hostile-issuers.test.ts'
const choice = 'token-service/choice-of-provider.test.ts'
const surface = 'token-service/http-surface.test.ts'
const limits = 'token-service/limits/request-limits.test.ts'
const variables = 'token-service/identity-variables.test.ts'
const signature = 'token-service/verifier/signature.test.ts'

export const pitfalls: readonly Pitfall[] = [
  // What a token says.
  {
    rule: 'iss, aud, sub, iat and exp are required, each of its type',
    tests: {
      [forgeries]: ['no issuer', 'no audience', 'no subject', 'no iat', 'no exp', 'a number as subject'],
    },
  },
  { rule: 'a token is not issued in the future', tests: { [forgeries]: ['an iat in the future'] } },
  {
    rule: 'times are whole numbers, and a life has an end that is sane',
    tests: {
      [forgeries]: ['exp 1e300', 'exp as text', 'a fraction as exp', 'a life of more than 30 days'],
    },
  },
  {
    rule: 'nbf counts, and clocks may differ by seconds only',
    tests: {
      [forgeries]: ['an nbf in the future', 'a text as nbf'],
      [contract]: [
        'a clock that is off by less than five seconds is forgiven, where the provider forgives it too',
      ],
    },
  },
  {
    rule: 'no name is there twice in one object',
    tests: {
      [contract]: ['a claim twice', 'a claim twice within another', 'a claim twice in two spellings'],
      [own]: ['a name that stands twice in a header is refused'],
    },
  },
  {
    rule: '__proto__ and what objects inherit are no claims',
    tests: {
      [variables]: ['a claim is only what the token itself has', 'never taken over by a claim of that name'],
      [contract]: ['bound claims bind'],
      [own]: ['a claim __proto__ gives nobody anything'],
    },
  },
  // How it is written.
  {
    rule: 'one token has one spelling: nothing that compares tokens can be fooled by another',
    tests: {
      [forgeries]: [
        'padding at its end',
        'a line feed at its end',
        'a space before it',
        'a space within the signature',
        'plus and slash for minus and underscore',
        'set bits after the signature',
        'a fourth part',
      ],
    },
  },
  {
    rule: 'a signature of ECDSA is as long as its key',
    tests: { [signature]: ['of %s is as long as the key, also where it begins with a zero'] },
  },
  {
    rule: 'what is no JWS is told: encrypted, opaque, or nothing of the sort',
    tests: { [forgeries]: ['encryption (five parts)', 'an opaque token', 'nothing'] },
  },
  {
    rule: 'a payload is one JSON object in UTF-8',
    tests: { [contract]: ['a list', 'no JSON', 'not with a payload that is no UTF-8'] },
  },
  // Its header.
  {
    rule: 'a key id is required, a text, and not long',
    tests: {
      [forgeries]: [
        'without a key id',
        'with an empty key id',
        'with a key id that is no text',
        'with a key id of 257 characters',
      ],
    },
  },
  {
    rule: 'a key id is only looked up: it is no property, no path, no key of a store',
    tests: {
      [forgeries]: ['with __proto__ as key id', 'with constructor as key id'],
      [own]: ['a key id reaches neither an address nor a store'],
    },
  },
  {
    rule: 'alg is one of the provider, and none of none',
    tests: { [forgeries]: ['with alg none', 'with alg NONE and no signature'] },
  },
  {
    rule: 'a public key is never a shared secret',
    tests: { [forgeries]: ['HS256 with the public key as secret'], [cache]: ['a shared secret'] },
  },
  {
    rule: 'a key is used with its own algorithm only',
    tests: {
      [forgeries]: ['ES256 under the id of an RSA key'],
      [cache]: ['a key of another algorithm', 'a key of another type', 'a key for encryption'],
      [signature]: ['is of the key that made it, and of the algorithm'],
    },
  },
  {
    rule: 'a token brings no key and no address of one',
    tests: { [forgeries]: ['with a key in the header', 'jku', 'x5u', 'x5c', 'x5t'] },
  },
  {
    rule: 'extensions that must be understood are refused, and so is what compresses or encrypts',
    tests: { [forgeries]: ['with a critical extension', 'zip', 'enc'] },
  },
  { rule: 'typ is one of the provider', tests: { [forgeries]: ['of another typ'] } },
  {
    rule: 'libraries with a record of confused caches and algorithms are not used',
    tests: { [own]: ['none of the libraries that took one token for another is installed'] },
  },
  // Keys.
  {
    rule: 'RSA keys have 2048 to 8192 bits and the exponent 65537',
    tests: {
      [cache]: [
        'an RSA key of 1024 bits',
        'an RSA key with exponent 1',
        'an RSA key with exponent 3',
        'an RSA key of more than 8192 bits',
      ],
    },
  },
  {
    rule: 'a key set has a size, and a number of keys',
    tests: {
      [cache]: ['51 keys'],
      [hostile]: ['publishes a megabyte', 'publishes hundreds of keys', 'publishes more keys than are read'],
      [fetching]: ['is refused when it is too long, before all of it is read'],
    },
  },
  {
    rule: 'a redirect is not followed',
    tests: {
      [fetching]: ['is refused when it is a redirect'],
      [hostile]: ['redirects to where they are', 'redirects for good'],
    },
  },
  {
    rule: 'keys are asked for once by all who wait, and kept as long as the issuer says, within bounds',
    tests: {
      [cache]: [
        'once in ten minutes',
        'where the issuer says max-age=%i, once in %i seconds',
        'once for a hundred who ask at the same time',
      ],
    },
  },
  {
    rule: 'an issuer that is down is 503 with Retry-After, and its last keys serve for a day',
    tests: {
      [cache]: ['is served by its last keys for a day, and not longer'],
      [choice]: ['is 503 with Retry-After, never 401, and others are not affected'],
      [hostile]: ['never answers', 'drips', 'hangs up'],
      [contract]: ['an issuer that does not answer is no reason to refuse the token'],
    },
  },
  {
    rule: 'an unknown key id costs the issuer little',
    tests: {
      [cache]: [
        'does so at most once in 30 seconds, whatever ids are tried',
        'is remembered for a minute',
        'makes the cache ask again, so that a rotated key is found at once',
        'is no reason for a refusal while the issuer fails: the key may be new',
      ],
    },
  },
  {
    rule: 'keys that were fetched for one organization judge nothing of another',
    tests: {
      [cache]: ['one organization never reads what was fetched for another'],
      [choice]: ['do not live on each other’s copy of its keys'],
    },
  },
  // Whose token it is.
  {
    rule: 'the provider is chosen by the caller and the organization, never by the token',
    tests: {
      [choice]: [
        'never by what the token says: a token of the second is nothing to the first',
        'one that it does not have is not found',
      ],
      [forgeries]: ['another issuer', 'a longer issuer', 'a list as issuer'],
    },
  },
  {
    rule: 'no address is taken from a token',
    tests: { [own]: ['nobody that a token names is asked anything'] },
  },
  {
    rule: 'one issuer may serve two organizations, which stay two',
    tests: { [own]: ['a person of one issuer is two in two organizations'] },
  },
  // Each provider.
  {
    rule: 'Firebase: the issuer and the audience are the project, whose keys are everybody’s',
    tests: {
      [samples]: [
        'another project of the same Google keys',
        'the audience of another project',
        'a list of audiences',
        'a session cookie',
        'a user of a tenant',
        'no auth_time',
        'an auth_time in the future',
        'a subject of 129 characters',
      ],
      'token-service/providers/firebase-emulator.test.ts': [
        'is refused whatever the environment of the process says',
      ],
    },
  },
  {
    rule: 'Supabase: neither API keys nor tokens of OAuth clients, and anonymous users where allowed',
    tests: {
      [samples]: [
        'the service_role key of the project',
        'the role service_role',
        'the role anon',
        'no role',
        'an ID token of its OAuth server',
        'a token that an OAuth client was given',
        'a subject that is no UUID',
        'no session',
        'no word on anonymity',
        'an anonymous user',
      ],
    },
  },
  {
    rule: 'Clerk: session tokens of the origins that are named, once the user has signed in',
    tests: {
      [samples]: [
        'another origin',
        'no origin',
        'a pending session',
        'a machine token',
        'the mark of a machine token on a session',
        'a machine as subject',
        'a token of a JWT template',
        'an OAuth access token',
      ],
    },
  },
  {
    rule: 'Auth0: access tokens of the API that is named, and machines where allowed',
    tests: {
      [samples]: [
        'an ID token',
        'an ID token whose client id is the audience',
        'the issuer without its slash',
        'a machine of the Auth0 profile',
        'a machine that is its own subject',
        'a machine of the RFC 9068 profile',
      ],
      [own]: ['an audience is compulsory for Auth0, and it is not empty'],
    },
  },
  // The request.
  {
    rule: 'body and token have a size, which is looked at before anything is decoded',
    tests: {
      [surface]: ['is larger than 32 KiB', 'has a token of more than 16 KiB, whatever it is made of'],
    },
  },
  {
    rule: 'what an organization writes leads nowhere inside',
    tests: {
      [fetching]: [
        'not %s',
        'and a name is asked for once: what is connected to is what was checked',
        'cloud metadata',
        'IPv4-mapped',
        'NAT64',
        'carrier-grade NAT',
        'unique local',
        'link-local',
        'multicast',
      ],
      [own]: ['an address of an issuer has no query, no fragment and no user'],
    },
  },
  {
    rule: 'a discovery document is of its issuer, and what it points to is guarded as well',
    tests: {
      [cache]: ['of another issuer', 'without an issuer'],
      [hostile]: [
        'by its discovery document',
        'would be followed otherwise: there is something to be reached',
      ],
    },
  },
  {
    rule: 'an identity token may be exchanged again, within limits',
    tests: {
      'token-service/exchange-token.test.ts': ['each time a fresh one, of the same principal'],
      [limits]: ['of one person, once they have proved who they are', 'of one person renewing too'],
      'token-service/create-token.test.ts': [
        'may have so many live credentials and no more: those that end first make room',
      ],
    },
  },
  {
    rule: 'which token was exchanged, and of which session, stands in the audit',
    tests: { 'token-service/audit.test.ts': ['an exchange, with the id of the token and of the session'] },
  },
  {
    rule: 'a browser hears one answer for everything that is wrong with a token',
    tests: {
      'token-service/audit.test.ts': [
        'the same failure looks the same outside, and its cause is written down:',
      ],
      'token-service/revocations.test.ts': ['is not told to a browser what is wrong with it'],
    },
  },
  {
    rule: 'what a provider has issued can be ended as a whole, and ends when it is deleted, suspended or accepts less',
    tests: {
      'operator/reconcilers/identity-provider-end.test.ts': [
        'when it is deleted, for which the object waits; and nothing else ends',
        'when it is suspended, once, and not when that is over',
        'when it accepts less: %s',
      ],
      'token-service/choice-of-provider.test.ts': ['issues nothing: %s'],
      'token-service/revocations.test.ts': ['those of a provider, of a principal, of the organization'],
      [own]: ['what was exchanged at a provider ends with it, and one that was deleted can still be revoked'],
    },
  },
  {
    rule: 'ours accepts no token that the provider’s own verifier refuses',
    tests: {
      'token-service/verifier/official-verifiers.test.ts': ['of the same tokens, ours accepts fewer than'],
    },
  },
]

/** What a rule says it is kept by and is not there: `<rule>: <file> has no "<title>"`; or that it names nothing. */
export function unkept(rules: readonly Pitfall[], read: (file: string) => string): readonly string[] {
  return rules.flatMap(({ rule, tests }) => {
    const named = Object.entries(tests).flatMap(([file, titles]) =>
      titles.map((title) => [file, title] as const),
    )
    if (named.length === 0) return [`${rule}: no test`]
    return named
      .filter(([file, title]) => !hasText(read(file), title))
      .map(([file, title]) => `${rule}: ${file} has no "${title}"`)
  })
}

/** As a text, or as the name of a case. */
function hasText(source: string, title: string): boolean {
  return [`'${title}'`, `\n    ${title}:`, `\n  ${title}:`].some((each) => source.includes(each))
}
