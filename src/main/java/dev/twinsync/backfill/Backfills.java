package dev.twinsync.backfill;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.Gaps;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import dev.twinsync.state.Records;
import jakarta.annotation.PreDestroy;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.camel.CamelContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.context.event.EventListener;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.RowCallbackHandler;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * The life of a backfill: queued by a person or a gap; page by page, in key order, the keys of all its systems are
 * listed side by side, read, compared and published, a record's readings one behind the other, so that the merge sees
 * both ends before anything is delivered. The last key done with is stored with each page: a crash costs one page read
 * twice. Live changes go first: no page is published while too much is on its way.
 */
@Component
public class Backfills implements Gaps {

    private static final Logger LOG = LoggerFactory.getLogger(Backfills.class);
    private static final Duration TURN = Duration.ofSeconds(5);
    private static final Duration TOLD_EVERY = Duration.ofSeconds(10);
    private static final Duration PAUSE = Duration.ofMillis(250);

    /** What is kept of a listing is of this system, for this run. */
    private record Listed(long run, String system) {}

    private static final String COLUMNS =
            "id, entity, systems, dry_run, rate, reason, state, after, done, total, counts::text as counts, waits_for, "
                    + "queued_at, started_at, worked_ms, ended_at";

    private final Schemas schemas;
    private final Records records;
    private final Observations observations;
    private final Capture capture;
    private final Listings lists;
    private final Traffic traffic;
    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final CamelContext camel;
    private final int page;
    private final int rate;
    private final int window;
    private final Set<String> onePerson;
    private final Map<Listed, Listings.Listing> listed = new HashMap<>();
    private final Map<Long, Instant> told = new HashMap<>();
    private volatile boolean running;
    private ScheduledExecutorService worker;

    Backfills(
            Schemas schemas,
            Records records,
            Observations observations,
            Capture capture,
            Listings lists,
            Traffic traffic,
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            CamelContext camel,
            @Value("${twinsync.backfill.page}") int page,
            @Value("${twinsync.backfill.rate}") int rate,
            @Value("${twinsync.backfill.window}") int window,
            @Value("${twinsync.backfill.one-person}") Set<String> onePerson) {
        this.schemas = schemas;
        this.records = records;
        this.observations = observations;
        this.capture = capture;
        this.lists = lists;
        this.traffic = traffic;
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.camel = camel;
        this.page = page;
        this.rate = rate;
        this.window = window;
        this.onePerson = onePerson;
    }

    @Override
    public void found(String system, String entity, String reason) {
        // one that has not begun yet reads everything anyway
        List<Long> waiting = jdbc.queryForList("""
                select id from backfill where entity = ? and state = 'queued' and not dry_run and ? = any (systems)""", Long.class, entity, system);
        if (waiting.isEmpty()) {
            start(entity, List.of(system), false, null, reason);
        }
    }

    /**
     * Queues a backfill; those of one entity run one after the other.
     *
     * @param systems null for all of the entity
     * @param recordsPerSecond null for the setting, 0 for no bound
     */
    public Backfill start(
            String entity, List<String> systems, boolean dryRun, Integer recordsPerSecond, String reason) {
        List<String> all = systems == null ? schemas.of(entity).systems() : systems;
        Long id = jdbc.query(
                connection -> {
                    var statement = connection.prepareStatement("""
                            insert into backfill (entity, systems, dry_run, rate, reason) values (?, ?, ?, ?, ?)
                            returning id""");
                    statement.setString(1, entity);
                    statement.setArray(2, connection.createArrayOf("text", all.toArray()));
                    statement.setBoolean(3, dryRun);
                    statement.setInt(4, recordsPerSecond == null ? rate : recordsPerSecond);
                    statement.setString(5, reason);
                    return statement;
                },
                rows -> {
                    rows.next();
                    return rows.getLong(1);
                });
        LOG.info("backfill {} of {} at {}{}: {}", id, entity, all, dryRun ? ", dry run" : "", reason);
        return of(id);
    }

    /** @throws NoSuchElementException where there is none */
    public Backfill of(long id) {
        return jdbc.query("select " + COLUMNS + " from backfill where id = ?", Backfills::row, id).stream()
                .findFirst()
                .orElseThrow(() -> new NoSuchElementException("no backfill " + id));
    }

    /** Newest first. */
    public List<Backfill> list(long before, int limit) {
        return jdbc.query(
                "select " + COLUMNS + " from backfill where id < ? order by id desc limit ?",
                Backfills::row,
                before,
                limit);
    }

    /** Ends it after the page under way; false where it had ended. */
    public boolean cancel(long id) {
        of(id);
        return jdbc.update("""
                update backfill set state = 'cancelled', ended_at = clock_timestamp(), waits_for = null
                where id = ? and state in ('queued', 'running')""", id) == 1;
    }

    /** @return {seq, record_id, kind, fields} */
    public List<Map<String, Object>> differences(long id, long after, int limit) {
        of(id);
        return jdbc.queryForList("""
                select seq, record_id, kind, fields::text as fields from backfill_difference
                where backfill = ? and seq > ? order by seq limit ?""", id, after, limit);
    }

    private static Backfill row(ResultSet row, int n) throws SQLException {
        return new Backfill(
                row.getLong("id"),
                row.getString("entity"),
                Arrays.asList((String[]) row.getArray("systems").getArray()),
                row.getBoolean("dry_run"),
                row.getInt("rate"),
                row.getString("reason"),
                row.getString("state"),
                row.getString("after"),
                row.getLong("done"),
                row.getObject("total", Long.class),
                (ObjectNode) Json.read(row.getString("counts")),
                row.getString("waits_for"),
                instant(row.getTimestamp("queued_at")),
                instant(row.getTimestamp("started_at")),
                row.getLong("worked_ms"),
                instant(row.getTimestamp("ended_at")));
    }

    private static Instant instant(Timestamp at) {
        return at == null ? null : at.toInstant();
    }

    // -- the work

    @EventListener(ApplicationReadyEvent.class)
    void start() {
        running = true;
        worker = Executors.newSingleThreadScheduledExecutor(run -> {
            Thread thread = new Thread(run, "backfill");
            thread.setDaemon(true);
            return thread;
        });
        worker.scheduleWithFixedDelay(this::work, PAUSE.toMillis(), PAUSE.toMillis(), TimeUnit.MILLISECONDS);
    }

    @PreDestroy
    void stop() {
        running = false;
        if (worker == null) {
            return;
        }
        worker.shutdown();
        try {
            if (!worker.awaitTermination(10, TimeUnit.SECONDS)) {
                worker.shutdownNow();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void work() {
        if (!camel.getStatus().isStarted()) {
            return;
        }
        try {
            Map<Long, String> open = new LinkedHashMap<>();
            jdbc.query(
                    "select id, entity from backfill where state in ('queued', 'running') order by entity",
                    (RowCallbackHandler) row -> open.put(row.getLong(1), row.getString(2)));
            // also those of runs that were cancelled, or that another instance has ended
            listed.keySet().removeIf(key -> !open.containsKey(key.run()));
            for (String entity : new LinkedHashSet<>(open.values())) {
                Instant until = Instant.now().plus(TURN);
                while (running
                        && schemas.has(entity)
                        && turn(schemas.of(entity))
                        && Instant.now().isBefore(until)) {
                    // the next page
                }
            }
        } catch (RuntimeException e) {
            LOG.debug("backfills wait: {}", e.toString());
        }
    }

    /** One page of the entity's oldest open run; false where there is nothing to do now. */
    private boolean turn(Schema schema) {
        long began = System.nanoTime();
        Backfill run = jdbc
                .query(
                        "select " + COLUMNS
                                + " from backfill where entity = ? and state in ('queued', 'running') order by id limit 1",
                        Backfills::row,
                        schema.entity())
                .stream()
                .findFirst()
                .orElse(null);
        if (run == null) {
            return false;
        }
        try {
            if (!run.dryRun()) {
                long waiting = traffic.onTheirWay(schema);
                if (waiting > window) {
                    waits(run, waiting + " records are on their way");
                    return false;
                }
            }
            Boolean went = transaction.execute(status -> {
                jdbc.execute("set local idle_in_transaction_session_timeout = '60s'");
                boolean ours = Boolean.TRUE.equals(jdbc.queryForObject(
                        "select pg_try_advisory_xact_lock(hashtextextended('twinsync/backfill/' || ?, 0))",
                        Boolean.class,
                        schema.entity()));
                return ours && page(schema, of(run.id()), began);
            });
            return Boolean.TRUE.equals(went);
        } catch (Listings.NoListing e) {
            fail(run, e.getMessage());
            return false;
        } catch (RuntimeException e) {
            Throwable cause = e;
            while (cause.getCause() != null && cause.getCause() != cause) {
                cause = cause.getCause();
            }
            listed.clear();
            waits(run, cause.getClass().getSimpleName() + ": " + Masking.inText(cause.getMessage()));
            return false;
        }
    }

    private void waits(Backfill run, String why) {
        if (!why.equals(run.waitsFor()) && due(run.id())) {
            LOG.info("backfill {} of {} waits: {}", run.id(), run.entity(), why);
        }
        jdbc.update("update backfill set waits_for = ? where id = ? and state in ('queued', 'running')", why, run.id());
    }

    private void fail(Backfill run, String why) {
        LOG.error("backfill {} of {} can't be done: {}", run.id(), run.entity(), why);
        jdbc.update("""
                update backfill set state = 'failed', waits_for = ?, ended_at = clock_timestamp()
                where id = ? and state in ('queued', 'running')""", why, run.id());
    }

    private boolean page(Schema schema, Backfill run, long began) {
        if (!run.state().equals("queued") && !run.state().equals("running")) {
            return true;
        }
        Long total = run.total() == null ? total(schema, run) : run.total();
        int size = run.rate() == 0 ? page : Math.min(page, run.rate());
        Map<String, Listings.Listing> listings = new HashMap<>();
        String end = null;
        for (String system : run.systems()) {
            Listings.Listing listing = listing(system, schema, run, size);
            listings.put(system, listing);
            if (listing.more() && (end == null || Listings.BYTES.compare(listing.last(), end) < 0)) {
                end = listing.last();
            }
        }
        TreeSet<String> ids = new TreeSet<>(Listings.BYTES);
        for (Listings.Listing listing : listings.values()) {
            (end == null ? listing.items() : listing.items().headMap(end, true))
                    .tailMap(run.after(), false).keySet().stream().limit(size).forEach(ids::add);
        }
        if (ids.size() >= size) {
            end = ids.stream().skip(size - 1L).findFirst().orElseThrow();
            ids.tailSet(end, false).clear();
        }
        ObjectNode counts = run.counts();
        if (!ids.isEmpty()) {
            work(schema, run, listings, ids, counts);
        }
        String after = end == null ? (ids.isEmpty() ? run.after() : ids.last()) : end;
        boolean last = end == null;
        if (last) {
            people(run, counts);
        }
        throttle(run.rate(), ids.size(), began);
        long worked = Duration.ofNanos(System.nanoTime() - began).toMillis();
        jdbc.update(
                """
                update backfill set state = ?, after = ?, done = done + ?, total = ?, counts = ?::jsonb, waits_for = null,
                  started_at = coalesce(started_at, clock_timestamp()), worked_ms = worked_ms + ?,
                  ended_at = case when ? then clock_timestamp() end
                where id = ? and state in ('queued', 'running')""",
                last ? "done" : "running",
                after,
                ids.size(),
                total == null ? null : Math.max(total, run.done() + ids.size()),
                Json.text(counts),
                worked,
                last,
                run.id());
        tell(run.id(), last);
        return true;
    }

    private Long total(Schema schema, Backfill run) {
        Long most = null;
        for (String system : run.systems()) {
            Long count = lists.count(system, schema);
            most = count == null ? most : most == null ? count : Long.valueOf(Math.max(most, count));
        }
        return most;
    }

    /** A listing reaches as far as it does; it is kept until all systems have come so far. */
    private Listings.Listing listing(String system, Schema schema, Backfill run, int size) {
        Listed key = new Listed(run.id(), system);
        Listings.Listing kept = listed.get(key);
        boolean covers = kept != null
                && Listings.BYTES.compare(kept.after(), run.after()) <= 0
                && (!kept.more() || Listings.BYTES.compare(kept.last(), run.after()) > 0);
        if (covers) {
            return kept;
        }
        Listings.Listing listing;
        try {
            listing = lists.list(system, schema, run.after(), size);
        } catch (Listings.NoListing e) {
            if (run.dryRun() || run.systems().size() == 1) {
                throw e;
            }
            // what it holds is told by its changes, from their beginning
            listing = new Listings.Listing("", new java.util.TreeMap<>(Listings.BYTES), null, false);
        }
        listed.put(key, listing);
        return listing;
    }

    private void work(
            Schema schema, Backfill run, Map<String, Listings.Listing> listings, Set<String> ids, ObjectNode counts) {
        Map<String, Map<String, Observation>> readings = new HashMap<>();
        for (String system : run.systems()) {
            Listings.Listing listing = listings.get(system);
            if (listing.ticks() == null) {
                // also what was made since it was listed; what is gone since is for the key sweep, and its brake
                capture.look(system, schema.entity(), List.copyOf(ids)).stream()
                        .filter(Observation::exists)
                        .forEach(reading -> readings.computeIfAbsent(reading.id(), id -> new HashMap<>())
                                .put(system, reading));
            } else {
                ids.stream().filter(listing.items()::containsKey).forEach(id -> readings.computeIfAbsent(
                                id, i -> new HashMap<>())
                        .put(
                                system,
                                capture.reading(
                                        system, schema, id, listing.items().get(id), listing.ticks())));
            }
        }
        List<Observation> all = new ArrayList<>();
        ids.forEach(id -> run.systems().forEach(system -> {
            Observation reading = readings.getOrDefault(id, Map.of()).get(system);
            if (reading != null) {
                all.add(reading);
            }
        }));
        if (run.systems().size() > 1) {
            compare(schema, run, ids, readings, counts);
            marks(schema, run, all);
        }
        if (!run.dryRun()) {
            observations.publish(all);
        }
    }

    private void compare(
            Schema schema,
            Backfill run,
            Set<String> ids,
            Map<String, Map<String, Observation>> readings,
            ObjectNode counts) {
        Comparison comparison = new Comparison(schema, run.systems(), counts);
        Map<String, Records.Snapshot> snapshots = records.load(schema.entity(), ids);
        long tick = records.tick();
        ids.forEach(id -> comparison.compare(snapshots.get(id), readings.getOrDefault(id, Map.of()), tick));
        jdbc.batchUpdate(
                "insert into backfill_difference (backfill, record_id, kind, fields) values (?, ?, 'differs', ?::jsonb)",
                comparison.differences(),
                500,
                (statement, difference) -> {
                    statement.setLong(1, run.id());
                    statement.setString(2, difference.id());
                    statement.setString(3, Json.text(difference.fields()));
                });
    }

    private record Mark(String field, byte[] digest, String id) {}

    private void marks(Schema schema, Backfill run, List<Observation> readings) {
        List<Mark> marks = new ArrayList<>();
        for (Observation reading : readings) {
            Schema.Normalised normalised = reading.exists() ? schema.normalise(reading.data(), true) : null;
            if (normalised == null
                    || normalised.values().containsKey("deleted")
                            && normalised.values().get("deleted").asBoolean()) {
                continue;
            }
            normalised.values().forEach((path, value) -> {
                if (onePerson.contains(schema.entity() + '.' + path) && value.isTextual()) {
                    marks.add(new Mark(path, digest(value.asText()), reading.id()));
                }
            });
        }
        jdbc.batchUpdate(
                "insert into backfill_person (backfill, field, mark, record_id) values (?, ?, ?, ?) on conflict do nothing",
                marks,
                500,
                (statement, mark) -> {
                    statement.setLong(1, run.id());
                    statement.setString(2, mark.field());
                    statement.setBytes(3, mark.digest());
                    statement.setString(4, mark.id());
                });
    }

    /** Users that look like one person under several ids are listed; binding them is for a person to decide. */
    private void people(Backfill run, ObjectNode counts) {
        jdbc.query(
                """
                select field, array_agg(record_id order by record_id collate "C") from backfill_person
                where backfill = ? group by field, mark having count(*) > 1""",
                rows -> {
                    String[] ids = (String[]) rows.getArray(2).getArray();
                    ObjectNode fields = Json.MAPPER.createObjectNode();
                    ArrayNode named = fields.putObject(rows.getString(1)).putArray("ids");
                    Arrays.stream(ids).forEach(named::add);
                    jdbc.update("""
                            insert into backfill_difference (backfill, record_id, kind, fields)
                            values (?, ?, 'same_person', ?::jsonb)""", run.id(), ids[0], Json.text(fields));
                    counts.put("same_person", counts.path("same_person").asLong() + 1);
                },
                run.id());
        jdbc.update("delete from backfill_person where backfill = ?", run.id());
        listed.keySet().removeIf(key -> key.run() == run.id());
    }

    private static byte[] digest(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private void throttle(int bound, int records, long began) {
        if (bound == 0) {
            return;
        }
        long rest = records * 1000L / bound
                - Duration.ofNanos(System.nanoTime() - began).toMillis();
        if (rest > 0 && running) {
            try {
                Thread.sleep(rest);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private boolean due(long id) {
        Instant former = told.get(id);
        if (former != null && former.plus(TOLD_EVERY).isAfter(Instant.now())) {
            return false;
        }
        told.put(id, Instant.now());
        return true;
    }

    private void tell(long id, boolean last) {
        if (!last && !due(id)) {
            return;
        }
        Backfill run = of(id);
        LOG.info(
                "backfill {} of {}: {} of {}, {} a second, {} {}",
                id,
                run.entity(),
                run.done(),
                run.total() == null ? "?" : run.total(),
                run.perSecond(),
                last ? "done" : run.secondsLeft() == null ? "" : run.secondsLeft() + " s left",
                Json.text(run.counts()));
        if (last) {
            told.remove(id);
        }
    }
}
