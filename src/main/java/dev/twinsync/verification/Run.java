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

    /** Where a run stood before a step. */
    record Mark(String state, ObjectNode progress, ObjectNode told, long compared, long unverified, long repaired) {}

    Mark mark() {
        return new Mark(state, progress.deepCopy(), told.deepCopy(), compared, unverified, repaired);
    }

    /** As if the step that failed had not begun: nothing that it did not do counts as done. */
    void back(Mark mark) {
        state = mark.state();
        progress = mark.progress();
        told = mark.told();
        compared = mark.compared();
        unverified = mark.unverified();
        repaired = mark.repaired();
    }

    void tell(String what, long more) {
        told.put(what, told.path(what).asLong() + more);
    }
}
