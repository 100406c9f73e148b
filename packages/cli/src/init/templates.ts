/** What `watchglass init` writes: every key that matters, with what it means. docs/configuration.md and docs/gateway.md have all. */

export function serverTemplate({ tenant, origin }: { readonly tenant: string; readonly origin: string }): string {
  return `# The Watchglass server: intake, ledger, search, console. All keys: docs/configuration.md.
# Check it with \`watchglass config check\`, run it with \`watchglass serve\`.

# Everything the server keeps: ledger/, index/, keys/, state.sqlite. Relative paths count from this file.
data: ./data

# Anything but loopback needs tls.
listen:
  host: 127.0.0.1
  port: 9440

# How people and gateways reach it: console, API, and the OIDC redirect.
url: http://localhost:9440

# tls:
#   cert: ./tls/server.pem
#   key: ./tls/server.key        # mode 0600

# Proxies in front of it, whose X-Forwarded-For says who is asking (docs/configuration.md, "Behind a proxy"):
#   trustedProxies: [127.0.0.1]

# Each tenant has a log of its own.
tenants:
  - ${tenant}

# Begin of the logs' names, signed into every checkpoint: it stays.
origin: ${origin}

# Who signs people in. The embedded provider serves small sites; a provider of your own looks like this:
#   issuer:
#     url: https://login.example
#     clientId: watchglass                       # redirect URI: <url>/auth/callback
#     clientSecretFile: ./keys/oidc-client-secret  # mode 0600
#     audience: urn:watchglass:api
issuer:
  embedded: true
  url: http://localhost:9442
  listen:
    host: 127.0.0.1
    port: 9442
  # The FHIR API that SMART applications are launched for, which is the gateway's, and what it is trusted by.
  fhirUrl: https://localhost:9441/fhir
  ca: ./tls/ca.pem
  # Applications that sign people in (docs/identity.md). The gateway is told when somebody's sessions end, so that their tokens end with them.
  clients:
    - { id: gateway, name: the gateway, logoutUri: https://localhost:9441/backchannel-logout, logoutOfAll: true }

# Who vouches that the log only grows, so that nobody here can put back an older one (docs/witnesses.md):
#   witnesses:
#     policy: ./witnesses.policy

log:
  level: info
`;
}

export function gatewayTemplate({ emitter }: { readonly emitter: string }): string {
  return `# The Watchglass gateway: stands in front of one API, lets in whom the policy lets in, and records before it releases.
# All keys: docs/gateway.md. Check it with \`watchglass config check\`, run it with \`watchglass gateway\`.

listen:
  host: 127.0.0.1
  port: 9441

# Processes that serve: one, or auto for one a core of a machine that is the gateway's own.
# workers: auto

# Made by \`watchglass init\` for localhost and good for a year; tls/ca.pem is what a client trusts. Put your own here.
tls:
  cert: ./tls/gateway.pem
  key: ./tls/gateway.key

# How clients reach the gateway.
url: https://localhost:9441

# The API behind it. Nobody else should be able to reach it.
upstream:
  url: http://127.0.0.1:8080

# Whose access tokens are good here, and for which audience.
issuers:
  - issuer: http://localhost:9442
    audience: urn:watchglass:api
    algorithms: [RS256, ES256, EdDSA]
    # As which it tells the gateway of sessions that end, and where.
    logoutClientId: gateway
identity:
  logoutPath: /backchannel-logout

# Who may do what, by role; SMART scopes narrow it further.
policy: ./policy.yaml

routes:
  - prefix: /fhir
    kind: fhir

# Where events go, and the key that lets them in.
server:
  url: http://localhost:9440
  writeKeyFile: ./keys/gateway.key

# Events wait here, encrypted and durable, while the server is away.
spool:
  dir: ./spool
  maxBytes: 1073741824

# strict: nothing is released before its event is durable. available: spooled, and let go.
audit:
  mode: strict

# The name of the system that is watched, and of this gateway, in every event.
site: ehr
emitter: ${emitter}
`;
}
