// Functions that clients call by OID (FunctionCall): those of large objects, which libpq has calls for.
// Source: pg_proc.dat, where these OIDs are fixed for every server; libpq, fe-lobj.c.

/** Names by OID. */
export const largeObjectFunctions: ReadonlyMap<number, string> = new Map([
  [715, "lo_create"],
  [764, "lo_import"],
  [765, "lo_export"],
  [952, "lo_open"],
  [953, "lo_close"],
  [954, "loread"],
  [955, "lowrite"],
  [956, "lo_lseek"],
  [957, "lo_creat"],
  [958, "lo_tell"],
  [964, "lo_unlink"],
  [1004, "lo_truncate"],
  [3170, "lo_lseek64"],
  [3171, "lo_tell64"],
  [3172, "lo_truncate64"],
]);
