package dev.twinsync.capture;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import javax.sql.DataSource;
import org.apache.camel.ProducerTemplate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.PlatformTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Polls a table by the time of its last change.
 *
 * <p>Commits overtake each other: a row may become visible long after others with later times. So the cursor never
 * passes the horizon, the start of the oldest transaction that is still under way. What lies beyond the horizon is read
 * all the same, from a position kept in memory; when the horizon moves on, the stretch behind it is listed again, and
 * keys that were seen in the same state are not read twice. Rows dated in the future are seen at once for the same
 * reason, and the cursor waits for the clock.
 */
@Component
class TablePoll {

    private static final Logger LOG = LoggerFactory.getLogger(TablePoll.class);
    private static final int REMEMBERED = 200_000;
    private static final String BEGINNING = "-infinity";

    /**
     * Sessions within a transaction: also those that have only read so far, since what they will write is dated by
     * their beginning. Those named twinsync-state write the schema sync alone.
     */
    private static final String HORIZON = """
            select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as clock,
                   pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees,
                   (select string_agg(gid, E'\\n') from pg_prepared_xacts where database = current_database()) as prepared,
                   string_agg(pid || ' ' || to_char(xact_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), E'\\n')
                     as open
            from pg_stat_activity
            where xact_start is not null and (backend_xid is not null or backend_xmin is not null
                or state like 'idle in transaction%')
              and backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()
              and application_name <> 'twinsync-state'""";

    private final Cursors cursors;
    private final ProducerTemplate template;
    private final JdbcTemplate app;
    private final TransactionTemplate transaction;
    private final Clocks clocks;
    private final int page;
    private final Duration overlap;
    private final Duration blindOverlap;
    private final Map<String, Memory> memories = new ConcurrentHashMap<>();

    TablePoll(
            Cursors cursors,
            ProducerTemplate template,
            @Qualifier("appPool") DataSource app,
            @Qualifier("appTransactions") PlatformTransactionManager transactions,
            Clocks clocks,
            @Value("${twinsync.capture.app.page}") int page,
            @Value("${twinsync.capture.app.overlap}") Duration overlap,
            @Value("${twinsync.capture.app.blind-overlap}") Duration blindOverlap) {
        this.cursors = cursors;
        this.template = template;
        this.app = new JdbcTemplate(app);
        this.transaction = new TransactionTemplate(transactions);
        this.clocks = clocks;
        this.page = page;
        this.overlap = overlap;
        this.blindOverlap = blindOverlap;
    }

    /** What one instance remembers between turns; losing it costs a second reading, nothing else. */
    private static final class Memory {
        private final Map<String, String> seen = Collections.synchronizedMap(new LinkedHashMap<>(1024, 0.75f, true) {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
                return size() > REMEMBERED;
            }
        });
        private final Map<String, Instant> prepared = new HashMap<>();
        private final Map<String, Instant> open = new HashMap<>();
        private Instant ahead;
        private Instant listedBack = Instant.EPOCH;
        private Instant written = Instant.EPOCH;
        private boolean warned;
    }

    /** @param open transactions under way, and when each began */
    private record Horizon(Instant clock, Map<String, Instant> open, boolean sees, List<String> prepared) {}

    private record Key(String id, String at, String mark) {
        String state() {
            return at + '/' + mark;
        }
    }

    void turn(String name, String system, Schema schema, Reader reader) {
        Memory memory = memories.computeIfAbsent(name, n -> new Memory());
        boolean ours = cursors.turn(name, cursor -> {
            JsonNode value = cursor.value();
            Instant from = instant(value, "at");
            Horizon now = horizon(system);
            List<Instant> ended = new ArrayList<>();
            Instant horizon = limit(now, memory, from == null ? Instant.EPOCH : from, ended);
            boolean moves = from == null || horizon.isAfter(from);
            Position start = new Position(BEGINNING, "");
            boolean backlog = value != null && value.has("scan");
            if (backlog) {
                // the last turn ended within a scan, which goes on to the horizon that it began with
                JsonNode scan = value.path("scan");
                start = new Position(scan.path("at").asText(), scan.path("id").asText());
                horizon = instant(scan, "horizon");
                moves = true;
            } else if (from != null) {
                start = new Position(from.minus(back(now, memory)).toString(), "");
                if (!moves && memory.ahead != null && memory.ahead.isAfter(from)) {
                    // one that is still under way holds the cursor; what others wrote that have ended is not to wait
                    // for it
                    Instant back = memory.ahead;
                    for (Instant began : ended) {
                        back = began.isBefore(back) ? began : back;
                    }
                    start = new Position(back.minus(overlap).toString(), "");
                }
            }
            Scanned scanned =
                    scan(system, schema, start, memory, reader, moves ? Capture.PAGES : Integer.MAX_VALUE, backlog);
            if (scanned.goesOn() != null) {
                ObjectNode state = Json.MAPPER.createObjectNode();
                if (from != null) {
                    state.put("at", from.toString());
                }
                state.putObject("scan")
                        .put("at", scanned.goesOn().at())
                        .put("id", scanned.goesOn().id())
                        .put("horizon", horizon.toString());
                cursor.move(state);
                return;
            }
            Instant reached = scanned.reached();
            memory.ahead = reached == null || reached.isAfter(now.clock()) ? now.clock() : reached;
            // with nothing new the cursor is kept for a second, so that an idle poll writes nothing
            if (moves && (reached != null || memory.written.isBefore(now.clock().minusSeconds(1)))) {
                cursor.move(Json.MAPPER.createObjectNode().put("at", horizon.toString()));
                memory.written = now.clock();
            }
        });
        if (!ours) {
            memories.remove(name);
        }
    }

    /** Whether this instance's poll has lately read a record, so that what it read is published. */
    boolean hasRead(String system, Schema schema, String id) {
        Memory memory = memories.get("poll-" + system + '-' + schema.plural());
        return memory != null && memory.seen.containsKey(id);
    }

    /** Records that are gone. */
    void forget(String system, Schema schema, Collection<String> ids) {
        Memory memory = memories.get("poll-" + system + '-' + schema.plural());
        if (memory != null) {
            memory.seen.keySet().removeAll(Set.copyOf(ids));
        }
    }

    private Duration back(Horizon now, Memory memory) {
        if (now.sees()) {
            return overlap;
        }
        // other sessions' transactions can't be seen: what may have been late is listed again now and then
        if (!memory.warned) {
            LOG.warn(
                    "The app's database role may not see other sessions' transactions: rows are listed again for {}. "
                            + "Grant it pg_read_all_stats",
                    blindOverlap);
            memory.warned = true;
        }
        if (memory.listedBack.isBefore(now.clock().minus(blindOverlap.dividedBy(20)))) {
            memory.listedBack = now.clock();
            return blindOverlap;
        }
        return overlap;
    }

    private static Instant instant(JsonNode value, String name) {
        return value == null || !value.has(name)
                ? null
                : Instant.parse(value.path(name).asText());
    }

    private Horizon horizon(String system) {
        Instant before = Instant.now();
        return app.queryForObject(HORIZON, (row, n) -> {
            Instant clock = Instant.parse(row.getString("clock"));
            clocks.measured(system, clock, before, Instant.now(), Duration.ofMillis(50));
            String prepared = row.getString("prepared");
            Map<String, Instant> open = new HashMap<>();
            if (row.getString("open") != null) {
                row.getString("open")
                        .lines()
                        .forEach(line -> open.put(line, Instant.parse(line.substring(line.indexOf(' ') + 1))));
            }
            return new Horizon(
                    clock, open, row.getBoolean("sees"), prepared == null ? List.of() : List.of(prepared.split("\n")));
        });
    }

    /**
     * How far the cursor may go: never past the clock, nor the start of what is still under way, nor what is prepared.
     *
     * @param ended takes the beginning of each transaction that has ended since the last turn
     */
    private static Instant limit(Horizon now, Memory memory, Instant from, List<Instant> ended) {
        Instant limit = now.clock();
        for (Instant began : now.open().values()) {
            limit = began.isBefore(limit) ? began : limit;
        }
        over(memory.open, now.open().keySet(), ended);
        memory.open.putAll(now.open());
        over(memory.prepared, now.prepared(), ended);
        for (String gid : now.prepared()) {
            // when it began is not to be had, but not before the cursor stood where it was when it was first seen
            Instant seen = memory.prepared.computeIfAbsent(gid, g -> from);
            if (seen.isBefore(limit)) {
                limit = seen;
            }
        }
        return limit;
    }

    private static void over(Map<String, Instant> known, Collection<String> present, List<Instant> ended) {
        known.forEach((name, began) -> {
            if (!present.contains(name)) {
                ended.add(began);
            }
        });
        known.keySet().retainAll(present);
    }

    private record Position(String at, String id) {}

    /**
     * @param reached the time of the last key that was new, or null where none was
     * @param goesOn where the next turn goes on, or null where everything was listed
     */
    private record Scanned(Instant reached, Position goesOn) {}

    /** Lists and reads page by page; after so many pages the turn ends, so that what it has done is kept. */
    private Scanned scan(
            String system,
            Schema schema,
            Position start,
            Memory memory,
            Reader reader,
            int pagesOfTurn,
            boolean backlog) {
        Position after = start;
        Instant reached = null;
        for (int pages = 1; ; pages++) {
            Position from = after;
            List<Key> listed =
                    backlog || pages > 1 ? byIndex(() -> list(system, schema, from)) : list(system, schema, from);
            List<String> fresh = new ArrayList<>();
            for (Key key : listed) {
                if (!key.state().equals(memory.seen.get(key.id()))) {
                    fresh.add(key.id());
                }
            }
            reader.read(system, schema, fresh);
            listed.forEach(key -> memory.seen.put(key.id(), key.state()));
            if (listed.isEmpty()) {
                return new Scanned(reached, null);
            }
            Key end = listed.get(listed.size() - 1);
            if (!fresh.isEmpty()) {
                reached = Instant.parse(end.at());
            }
            if (listed.size() < page) {
                return new Scanned(reached, null);
            }
            after = new Position(end.at(), end.id());
            if (pages >= pagesOfTurn) {
                return new Scanned(reached, after);
            }
        }
    }

    /**
     * Where a bulk of changes is younger than the table's statistics, the server would sort all that lies behind a page
     * to find it, for each page again: a page behind a full one is taken from the index.
     */
    private List<Key> byIndex(Supplier<List<Key>> page) {
        return transaction.execute(status -> {
            app.execute("set local enable_sort = off");
            return page.get();
        });
    }

    private List<Key> list(String system, Schema schema, Position after) {
        Map<String, Object> headers = new HashMap<>();
        headers.put("after_at", after.at());
        headers.put("after_id", after.id());
        headers.put("until", "infinity");
        headers.put("limit", page);
        List<?> rows = template.requestBodyAndHeaders(
                "direct:find-" + system + '-' + schema.plural(), null, headers, List.class);
        List<Key> keys = new ArrayList<>(rows.size());
        for (Object row : rows) {
            Map<?, ?> columns = (Map<?, ?>) row;
            keys.add(new Key(
                    String.valueOf(columns.get("id")),
                    String.valueOf(columns.get("at")),
                    String.valueOf(columns.get("mark"))));
        }
        return keys;
    }
}
