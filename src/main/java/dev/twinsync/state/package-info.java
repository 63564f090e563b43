/** Twinsync's memory: golden records, bases, conflicts and history in PostgreSQL, and the topics between the steps. */
package dev.twinsync.state;
