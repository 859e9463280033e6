// Roles that jitdb has in every PostgreSQL cluster. `jitdb-server database sql` makes them; nothing here connects.

/** Inherits what grants leave behind; has no rights on data, and no member but the admin. */
export const keeperRole = "jitdb_keeper";

/** Marks every ephemeral user, so that pg_hba.conf can name them all as `+jitdb_ephemeral`. */
export const markerRole = "jitdb_ephemeral";

/** First version (server_version_num) in which a membership can be had without the right to SET ROLE to it. */
export const membershipOptionsSince = 160_000;
