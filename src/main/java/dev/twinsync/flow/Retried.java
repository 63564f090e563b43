package dev.twinsync.flow;

import java.util.Collection;

/** Whom a flow tells that it has worked messages which an operator had sent again. */
public interface Retried {

    /** The header that names the letter whose message it is. */
    String HEADER = "sync-retry-of";

    /** These letters' messages were worked, and did not fail again. */
    void worked(Collection<Long> letters);
}
