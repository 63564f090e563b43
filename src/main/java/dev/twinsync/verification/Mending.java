package dev.twinsync.verification;

import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** Mends what a run may mend, and takes back what another one has mended: both through the pipe, by observations. */
@Component
class Mending {

    private static final Instant END = Instant.parse("9999-01-01T00:00:00Z");

    private final Records records;
    private final Observations observations;
    private final Runs runs;
    private final Looks looks;
    private final Settings settings;

    Mending(Records records, Observations observations, Runs runs, Looks looks, Environment environment) {
        this.records = records;
        this.observations = observations;
        this.runs = runs;
        this.looks = looks;
        this.settings = Settings.of(environment);
    }

    /**
     * Mends what is planned, and sees whether it was mended. What is mended is looked at once more right before, and the
     * merge does it only if nothing has happened since that look: a newer state wins.
     */
    void repair(Run run, Schema schema) {
        if (!run.progress.has("repairing")) {
            run.progress.put("repairing", Instant.now().toString());
        }
        // what was sent on its way is looked at again after a moment, and mended again should it have been overtaken
        Instant before = Instant.now().minusSeconds(1);
        for (String system : schema.systems()) {
            List<Runs.Difference> open = runs.differences(run, system, List.of("planned"), END);
            if (open.isEmpty()) {
                open = runs.differences(run, system, List.of("repairing"), before);
            }
            if (!open.isEmpty()) {
                if (run.origin.equals("undo")) {
                    undo(run, system, open);
                } else {
                    mend(run, schema, system, open);
                }
                return;
            }
        }
        Instant earliest = runs.earliest(run, List.of("repairing"));
        if (earliest == null) {
            run.state = "done";
        } else if (Instant.parse(run.progress.path("repairing").asText())
                .plus(settings.longest())
                .isBefore(Instant.now())) {
            // an end that has been away for so long: what was sent still arrives, and the next run will see it
            run.unverified += runs.giveUp(run, "repairing");
        } else {
            run.nextAt = earliest.plusMillis(1050);
        }
    }

    private void mend(Run run, Schema schema, String system, List<Runs.Difference> open) {
        List<String> ids = open.stream().map(Runs.Difference::recordId).toList();
        Map<String, Records.Snapshot> snapshots = records.load(run.entity, ids);
        Map<String, Observation> seen = looks.look(run, schema, system, ids);
        List<Observation> publish = new ArrayList<>();
        List<Runs.Seen> mended = new ArrayList<>();
        Map<String, List<String>> states = new HashMap<>();
        List<Observation> equal = new ArrayList<>();
        Map<String, Long> revisions = new HashMap<>();
        for (Runs.Difference difference : open) {
            Observation look = seen.get(difference.recordId());
            if (look == null) {
                states.computeIfAbsent("repairing", s -> new ArrayList<>()).add(difference.recordId());
                continue;
            }
            Records.Snapshot snapshot = snapshots.get(look.id());
            Judge.Verdict verdict = Judge.judge(schema, snapshot, look);
            String state;
            switch (verdict.outcome()) {
                case EQUAL -> {
                    state = difference.state().equals("repairing") ? "repaired" : "superseded";
                    if (snapshot.bases().get(system) != null) {
                        equal.add(look);
                        revisions.put(look.id(), snapshot.bases().get(system).revision());
                    }
                }
                case WAITING, LETTER -> state = "unverified";
                case IN_FLIGHT -> state = "repairing";
                default -> {
                    state = difference.rounds() > 10 * settings.rounds() ? "unverified" : "repairing";
                    boolean adopt = verdict.moved()
                            || verdict.kind().equals("surplus")
                            || "adopt".equals(difference.decision());
                    if (state.equals("repairing")) {
                        publish.add(adopt ? look : look.asRepair());
                        boolean edit = verdict.moved() || verdict.kind().equals("surplus");
                        String decision = edit ? "observe" : adopt ? "adopt" : "restate";
                        mended.add(new Runs.Seen(look.id(), verdict, look, state, decision));
                    }
                }
            }
            states.computeIfAbsent(state, s -> new ArrayList<>()).add(look.id());
        }
        // marked, with what is taken away, before it is published: should we end in between, it is looked at and mended
        // again
        runs.seen(run, system, mended);
        states.forEach((state, of) -> {
            runs.state(run, system, of, state);
            run.unverified += state.equals("unverified") ? of.size() : 0;
        });
        run.repaired = runs.count(run.run, "repaired");
        runs.remember(run.entity, system, equal, revisions);
        observations.publish(publish);
    }

    /**
     * Takes repairs back by edits of the operator, each stored before it is published: after an end of the service in
     * between, the golden record tells whether it has come to be.
     */
    private void undo(Run run, String system, List<Runs.Difference> open) {
        List<String> ids = open.stream().map(Runs.Difference::recordId).toList();
        Map<String, Records.Snapshot> snapshots = records.load(run.entity, ids);
        Map<String, Runs.Kept> kept = runs.kept(run, system, ids);
        Map<String, String> begun = new HashMap<>();
        Map<String, List<String>> states = new HashMap<>();
        List<Observation> publish = new ArrayList<>();
        for (Runs.Difference difference : open) {
            String id = difference.recordId();
            Golden golden = snapshots.get(id).golden();
            Undo undo = difference.state().equals("planned")
                    ? Undo.of(golden, system, difference.kind(), kept.get(id).fields())
                    : Undo.read(kept.get(id).found());
            Undo.Progress progress = undo == null ? Undo.Progress.OVERTAKEN : undo.progress(golden);
            switch (progress) {
                case DONE ->
                    states.computeIfAbsent("repaired", s -> new ArrayList<>()).add(id);
                case OVERTAKEN ->
                    states.computeIfAbsent("superseded", s -> new ArrayList<>()).add(id);
                default -> {
                    begun.put(id, undo.text());
                    String event = "undo/" + run.run + '/' + difference.id();
                    publish.add(Observations.push(
                            run.entity,
                            id,
                            Merge.OPERATOR,
                            undo.edit(),
                            null,
                            null,
                            UUID.nameUUIDFromBytes(event.getBytes(StandardCharsets.UTF_8))
                                    .toString()));
                }
            }
        }
        runs.begun(run, system, begun);
        states.forEach((state, of) -> runs.state(run, system, of, state));
        run.repaired = runs.count(run.run, "repaired");
        observations.publish(publish);
    }
}
