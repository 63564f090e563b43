package dev.twinsync.verification;

import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.operations.Seen;
import dev.twinsync.operations.Watches;
import dev.twinsync.record.Schema;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** Looks at what differs again when all was quiet: only what is still the same is a difference, and is decided about. */
@Component
class Confirmation {

    private static final Logger LOG = LoggerFactory.getLogger(Confirmation.class);

    private final Runs runs;
    private final Looks looks;
    private final SelfTest selfTest;
    private final Watches watches;
    private final CaptureSchemes schemes;
    private final Settings settings;

    Confirmation(
            Runs runs,
            Looks looks,
            SelfTest selfTest,
            Watches watches,
            CaptureSchemes schemes,
            Environment environment) {
        this.watches = watches;
        this.schemes = schemes;
        this.runs = runs;
        this.looks = looks;
        this.selfTest = selfTest;
        this.settings = Settings.of(environment);
    }

    /**
     * @param time how long both ends must have been quiet
     * @param stuck whether what is on its way can't be waited for: it is no difference, and it is not verified
     */
    record Quiet(Duration time, boolean stuck) {}

    /**
     * Twice the time within which 99 of 100 changes arrived, and what polls have not read or lies in the topic by now is
     * worked first: a backlog is on its way, however fast changes were before it.
     */
    Quiet quiet(Schema schema) {
        Duration p99 = runs.p99(schema.entity(), Duration.ofHours(1));
        Duration time = p99 == null ? settings.quietFloor() : p99.multipliedBy(2);
        time = time.compareTo(settings.quietFloor()) < 0 ? settings.quietFloor() : time;
        time = time.compareTo(settings.quietLongest()) > 0 ? settings.quietLongest() : time;
        Duration behind = watches.behind(schema.entity())
                .map(merge -> merge.plus(unread(schema)))
                .orElse(null);
        boolean stuck = behind == null || behind.compareTo(settings.backlogLongest()) > 0;
        return new Quiet(stuck ? time : time.plus(behind), stuck);
    }

    /** How far the polls are behind the clock that say so. */
    private Duration unread(Schema schema) {
        Map<String, Duration> cursors = watches.seen().map(Seen::cursors).orElse(Map.of());
        return schema.systems().stream()
                .map(system -> "poll-" + system + '-' + schema.plural())
                .filter(flow -> cursors.containsKey(flow) && schemes.meant(flow))
                .map(cursors::get)
                .max(Duration::compareTo)
                .orElse(Duration.ZERO);
    }

    /** The next step of a confirmation: looks again at what was quiet for long enough, and decides what is done. */
    void confirm(Run run, Schema schema) {
        Quiet quiet = quiet(schema);
        run.told.put("quiet_ms", quiet.time().toMillis());
        if (again(run, schema, quiet)) {
            return;
        }
        Instant earliest = runs.earliest(run, List.of("candidate"));
        if (earliest != null
                && run.startedAt
                        .plus(settings.longest())
                        .plus(settings.quietLongest())
                        .isBefore(Instant.now())) {
            run.unverified += runs.giveUp(run, "candidate");
            earliest = null;
        }
        if (earliest != null) {
            run.nextAt = earliest.plus(quiet.time()).plusMillis(50);
            return;
        }
        confirmed(run, schema);
    }

    /** Looks again at what differed a quiet time ago. @return false where there is nothing of the kind */
    boolean again(Run run, Schema schema, Quiet quiet) {
        Instant before = Instant.now().minus(quiet.time());
        for (String system : schema.systems()) {
            List<Runs.Difference> open = runs.differences(run, system, List.of("candidate"), before);
            if (!open.isEmpty()) {
                Map<String, Runs.Difference> known = new HashMap<>();
                open.forEach(difference -> known.put(difference.recordId(), difference));
                looks.examine(
                        run,
                        schema,
                        system,
                        open.stream().map(Runs.Difference::recordId).toList(),
                        new Looks.Before(known, quiet.stuck()));
                return true;
            }
        }
        return false;
    }

    private void confirmed(Run run, Schema schema) {
        if (run.origin.equals("self_test")) {
            if (!run.told.has("planted")) {
                selfTest.tell(run, schema);
                // stored before what it tells of is taken away
                return;
            }
            selfTest.end(run, schema);
        }
        runs.underWay(run.entity).forEach(run.told::put);
        run.told.put("altered", runs.altered(run.entity));
        if (run.ids == null) {
            long unusable = runs.unusable(run.entity);
            run.told.put("unusable", unusable);
            run.unverified += unusable;
        }
        for (String kind : Settings.KINDS) {
            String most = settings.most(run.entity, kind);
            boolean report = run.repair.equals("none") || most.equals("report");
            String decision = report ? "report" : settings.onDamage(run.entity, kind);
            runs.decide(run, kind, decision, report ? "confirmed" : "planned");
        }
        long mend = runs.count(run.run, "planned");
        long cap = Math.max(settings.capRecords(), (long) (settings.capShare() * run.records));
        if (mend == 0) {
            run.state = "done";
        } else if (run.repair.equals("plan") || plans(run)) {
            run.state = "waiting_for_approval";
            run.told.put("why", mend + " repairs are planned");
        } else if (mend > cap) {
            run.state = "waiting_for_approval";
            run.told.put("why", mend + " repairs are more than " + cap + ", which is the most that is mended unasked");
            LOG.warn(
                    "verification {} of {} asks: {}",
                    run.run,
                    run.entity,
                    run.told.path("why").asText());
        } else {
            run.state = "repairing";
        }
    }

    /** Whether one of the kinds that were found may only be planned. */
    private boolean plans(Run run) {
        return Settings.KINDS.stream()
                .filter(kind -> settings.most(run.entity, kind).equals("plan"))
                .anyMatch(kind -> runs.jdbc()
                        .queryForObject(
                                "select exists (select from verification_difference where run = ? and kind = ? and state = 'planned')",
                                Boolean.class,
                                run.run,
                                kind));
    }
}
