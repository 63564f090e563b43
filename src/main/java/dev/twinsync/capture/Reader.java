package dev.twinsync.capture;

import dev.twinsync.record.Schema;
import java.util.Collection;

/** Reads records by key and publishes the readings. */
@FunctionalInterface
interface Reader {
    void read(String system, Schema schema, Collection<String> ids);
}
