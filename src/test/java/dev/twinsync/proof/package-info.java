/**
 * The service as production treats it: processes that are killed and frozen, neighbours that vanish, stall and answer
 * nonsense, under load; and what everybody may do to it from outside.
 */
package dev.twinsync.proof;
