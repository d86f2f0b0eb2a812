/** The path of a log of about `megabytes` in the temporary folder; it is made when it is not there yet. */
export function bigLog(megabytes: number): string;
