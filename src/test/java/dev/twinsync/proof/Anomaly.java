package dev.twinsync.proof;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** The two-way anomalies, seen in other systems, that a test keeps out of this one. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Anomaly {

    /** What happens elsewhere. */
    enum Of {
        A1("flip-flop: the own echo overwrites a newer local value"),
        A2("a deleted record is revived for a while, or inserted again"),
        A3("rows that were committed late are lost by polling"),
        A4("deletions are not seen by capture that goes by time"),
        A5("polling loses orders: answer unchecked, by creation, cursor not kept, gaps at a second's edge, by status"),
        A6("a status stays stale, or goes back"),
        A7("a row that is read again shows old data"),
        A8("a transaction that is split escapes the mark that stops loops"),
        A9("an endless ring of three systems"),
        A10("a failure is acknowledged, a message is discarded after its last try"),
        A11("another idempotency key at each try; tombstones are skipped"),
        A12("duplicates when an answer takes long; the task stops at an error"),
        A14("the mark against duplicates is kept though the work failed"),
        A16("a verification that misses damage which cancels itself out"),
        A17("a verification drops checks when there are many, and does not see what was done by hand"),
        A18("a repair overwrites what is newer"),
        A19("the wall clock decides"),
        A20("one conflict holds up everything, and a long pause loses changes");

        private final String told;

        Of(String told) {
            this.told = told;
        }

        @Override
        public String toString() {
            return name() + ": " + told;
        }
    }

    Of[] value();
}
