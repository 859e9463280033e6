// The jitdb.yaml that `init` and `try` write: every setting with a comment, and an example that works once it is uncommented.

export interface TemplateValues {
  readonly listen: string;
  /** Absent: what `listen` says, for a server on one's own machine. */
  readonly publicUrl?: string | undefined;
  /** Addresses of proxies that speak TLS for this server. Absent: there are none. */
  readonly trustedProxies?: readonly string[] | undefined;
  readonly confirmDevices: "approval" | "loopback";
  /** YAML of `databases:` and `policies:`. */
  readonly sections: string;
}

/** File names inside the configuration's folder. */
export const fileNames = {
  config: "jitdb.yaml",
  masterKey: "master.key",
  data: "data",
} as const;

/** The whole file. */
export function renderConfig(values: TemplateValues): string {
  const publicUrl =
    values.publicUrl === undefined
      ? "# publicUrl: https://jitdb.example.com"
      : `publicUrl: ${values.publicUrl}`;
  const trustedProxies =
    values.trustedProxies === undefined
      ? "# trustedProxies: [10.0.0.0/8]"
      : `trustedProxies: ${JSON.stringify(values.trustedProxies)}`;
  return `# Configuration of jitdb-server. Prove it with: jitdb-server check
# Secrets never stand here: write \${file:path} (relative to this file, mode 0600) or \${env:NAME} instead.

# Address and port that the server listens on. Off loopback it needs tls or trustedProxies.
listen: ${values.listen}

# What people's machines call this server. Scheme, host and port alone.
${publicUrl}

# TLS, spoken by the server itself:
# tls:
#   cert: fullchain.pem
#   key: private-key.pem

# Or proxies in front that speak TLS: the addresses from which X-Forwarded-For is believed.
${trustedProxies}

# Store, audit journal and control socket. One server at a time.
dataFolder: ${fileNames.data}

# Every ephemeral user's password is derived from this key. Back it up.
masterKey: \${file:${fileNames.masterKey}}

audit:
  # write: a record survives a killed process. fsync: it survives a power failure, and statements take longer.
  durability: write

devices:
  # approval: whoever approves a person's first request from a new device vouches for it.
  # loopback: logins from this machine need nobody; for a server on one's own machine.
  confirm: ${values.confirmDevices}

${values.sections}`;
}

/** Sections for a new installation: empty ones, and how they are filled. */
export const exampleSections = `# A database, its admin role, and what people may get on it. "jitdb-server database sql <name>" prints the SQL
# that makes the roles; a DBA runs it once.
databases: {}
#   prod-orders:
#     host: db.example.com        # or the absolute path of a socket folder
#     port: 5432
#     database: orders
#     tls:
#       mode: verify-full         # disable, require, verify-ca, verify-full
#       # ca: company-ca.pem
#     admin:
#       user: jitdb_admin
#       password: \${file:prod-orders.password}
#     labels: { env: production }
#     schemas: [public]
#     profiles:
#       read-only:
#       read-write:
#         leftovers: drop         # tables that a grant leaves behind: keep or drop

# Who may ask for what. The first policy that fits decides; where none fits, the answer is no.
policies: []
#   - name: developers-read
#     who: { groups: [developers] }
#     databases: ["*"]
#     labels: { env: production }
#     profiles: [read-only]
#     maxDuration: 1h
#     approval: automatic
#   - name: developers-write
#     who: { groups: [developers] }
#     databases: [prod-orders]
#     profiles: [read-write]
#     maxDuration: 30m
#     approval: { count: 1, groups: [admins] }
#     requestLifetime: 8h
#     reasonRequired: true
`;
