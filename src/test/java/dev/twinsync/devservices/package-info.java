/** What surrounds the service when it is tried or tested: PostgreSQL, Kafka and a mini-program, all from artifacts. */
package dev.twinsync.devservices;
