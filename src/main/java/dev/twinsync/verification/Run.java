package dev.twinsync.verification;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.List;

/** A run as its turn has it; what is set here is stored after each step, fenced by the turn. */
final class Run {

    long run;
    String entity;
    String origin;
    List<String> ids;
    String repair;
    String state;
    long turn;
    ObjectNode progress;
    ObjectNode told;
    long records;
    long compared;
    long unverified;
    long repaired;
    boolean approved;
    Instant startedAt;
    Instant nextAt;

    boolean open() {
        return !List.of("done", "stopped", "failed", "waiting_for_approval").contains(state);
    }

    void tell(String what, long more) {
        told.put(what, told.path(what).asLong() + more);
    }
}
