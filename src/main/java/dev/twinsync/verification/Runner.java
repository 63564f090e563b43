package dev.twinsync.verification;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import javax.sql.DataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/**
 * Carries the runs on, step by step: compare digests in sets, look at what differs, look again when all was quiet, mend.
 * Each step is stored before the next begins, so that a run goes on where it was after any end of the service. One
 * instance runs at a time, under a lock of its session; a turn that lost it can't store anything.
 */
@Component
class Runner {

    private static final Logger LOG = LoggerFactory.getLogger(Runner.class);
    private static final Duration TURN = Duration.ofSeconds(20);

    private final Schemas schemas;
    private final Runs runs;
    private final Ends ends;
    private final SelfTest selfTest;
    private final Comparison comparison;
    private final Confirmation confirmation;
    private final Mending mending;
    private final DataSource state;

    Runner(
            Schemas schemas,
            Runs runs,
            Ends ends,
            SelfTest selfTest,
            Comparison comparison,
            Confirmation confirmation,
            Mending mending,
            DataSource state) {
        this.schemas = schemas;
        this.runs = runs;
        this.ends = ends;
        this.selfTest = selfTest;
        this.comparison = comparison;
        this.confirmation = confirmation;
        this.mending = mending;
        this.state = state;
    }

    /** One turn: the steps that can be done now, for a while, if no other instance is at it. */
    void turn() {
        try (Connection lock = state.getConnection()) {
            if (!locked(lock, "select pg_try_advisory_lock(hashtextextended('twinsync/verification', 0))")) {
                return;
            }
            try {
                selfTest.left().stream().filter(schemas::has).map(schemas::of).forEach(this::clear);
                Instant until = Instant.now().plus(TURN);
                Run run = runs.take();
                while (run != null && Instant.now().isBefore(until)) {
                    work(run, until);
                    run = runs.take();
                }
            } finally {
                locked(lock, "select pg_advisory_unlock(hashtextextended('twinsync/verification', 0))");
            }
        } catch (Runs.TurnLost e) {
            LOG.warn("{}", e.getMessage());
        } catch (SQLException e) {
            LOG.warn("verification can't take its lock: {}", e.getMessage());
        }
    }

    /** What a self-test that was stopped has left goes first; where that can't be done now, no run waits for it. */
    private void clear(Schema schema) {
        try {
            selfTest.clear(schema);
        } catch (RuntimeException e) {
            LOG.warn("what a self-test of {} has left can't be cleared away yet: {}", schema.entity(), e.toString());
        }
    }

    private static boolean locked(Connection connection, String sql) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql);
                ResultSet row = statement.executeQuery()) {
            return row.next() && row.getBoolean(1);
        }
    }

    private void work(Run run, Instant until) {
        Schema schema = schemas.has(run.entity) ? schemas.of(run.entity) : null;
        Map<String, Long> before = ends.load();
        Run.Mark mark = run.mark();
        try {
            boolean goesOn = true;
            while (goesOn
                    && run.open()
                    && !run.nextAt.isAfter(Instant.now())
                    && Instant.now().isBefore(until)) {
                if (schema == null) {
                    run.state = "failed";
                    run.told.put("trouble", "there is no entity " + run.entity + " any more");
                } else {
                    step(run, schema);
                }
                run.told.remove("trouble");
                Map<String, Long> now = ends.load();
                for (String what : now.keySet()) {
                    run.tell(what, now.get(what) - before.get(what));
                }
                before = now;
                goesOn = runs.save(run);
                mark = run.mark();
            }
        } catch (Runs.TurnLost e) {
            throw e;
        } catch (RuntimeException e) {
            Throwable cause = e;
            while (cause.getCause() != null && cause.getCause() != cause) {
                cause = cause.getCause();
            }
            // an end that is away, or an error of ours: the step is done again, whole, and the run says what holds it
            // up
            run.back(mark);
            LOG.warn("verification {} of {} waits: {}", run.run, run.entity, cause.toString());
            LOG.debug("verification {}", run.run, e);
            run.told.put("trouble", cause.getClass().getSimpleName() + ": " + cause.getMessage());
            run.nextAt = Instant.now().plusSeconds(5);
            runs.save(run);
        }
    }

    private void step(Run run, Schema schema) {
        switch (run.state) {
            case "queued" -> {
                if (run.origin.equals("self_test") && !selfTest.plant(run, schema)) {
                    return;
                }
                run.state = run.origin.equals("undo") ? "repairing" : "running";
                run.progress.removeAll();
                run.records = run.ids == null ? runs.records(run.entity) : run.ids.size();
                run.progress.put("system", schema.systems().get(0)).put("after", "");
            }
            case "running" -> comparison.compare(run, schema);
            case "confirming" -> confirmation.confirm(run, schema);
            case "repairing" -> mending.repair(run, schema);
            default -> throw new IllegalStateException("no such state: " + run.state);
        }
    }
}
