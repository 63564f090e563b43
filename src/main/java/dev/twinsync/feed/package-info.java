/** Takes the keys from what another tool writes to Kafka of the changes of a database. */
package dev.twinsync.feed;
