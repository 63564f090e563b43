package dev.twinsync.record;

/** How a field is settled when systems differ; the words are those of the entity's schema file. */
public enum Rule {
    /** The later time wins; equal times go to the system named first in the schema. */
    NEWEST,
    /** One system's value wins over a concurrent one of any other. */
    OWNER,
    /** A status that follows the table of its schema and never goes back. */
    FORWARD,
    /** The first non-null value stays. */
    FIRST,
    /** Once true it stays true, and only the system that stated it may take it back. */
    STICKY
}
