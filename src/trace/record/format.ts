/** Version of the recorder's output: the first line of a recording names it. */
export const UAPI_SCHEMA = 'stopcopy-uapi-1';

/** What a schema name begins with, whatever its version. */
export const UAPI_SCHEMA_PREFIX = 'stopcopy-uapi-';
