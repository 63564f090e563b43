package dev.twinsync.capture;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * Compares all keys of a system with those that its bases hold, in an effort that grows with their number alone: each
 * side is paged in the order of its own index. A key that is gone is read once more and, if it is still gone, observed
 * as deleted; a key that no base holds is read too. A sweep that would delete more than a slip
 * could explain deletes nothing and waits for a person.
 */
@Component
class KeySweep {

    private static final Logger LOG = LoggerFactory.getLogger(KeySweep.class);
    private static final int PAGE = 5000;
    private static final int READ = 1000;

    private static final Duration SWEEP_ENDS = Duration.ofSeconds(20);

    /** What was told and is not merged yet, a deletion or a new key, is nothing further; after so long it is told again. */
    private static final Duration TOLD = Duration.ofMinutes(10);

    /** Of the time, the comparing of all keys takes no more than this part, however short the interval. */
    private static final int SHARE = 20;

    /** A hard delete waits for no longer than this and a sweep, whatever part of the time that takes. */
    private static final Duration LONGEST_REST = Duration.ofMinutes(15);

    private final Map<String, Map<String, Instant>> told = new ConcurrentHashMap<>();
    private final Map<String, Map<String, Instant>> found = new ConcurrentHashMap<>();
    private final TablePoll poll;
    private final Cursors cursors;
    private final TableKeys table;
    private final JdbcTemplate jdbc;

    /** How many records each system was known to hold at the last sweep. */
    private final Map<String, Long> counts = new ConcurrentHashMap<>();

    KeySweep(TablePoll poll, Cursors cursors, TableKeys table, JdbcTemplate jdbc) {
        this.poll = poll;
        this.cursors = cursors;
        this.table = table;
        this.jdbc = jdbc;
    }

    void sweep(String name, String system, Schema schema, Reader reader) {
        cursors.turn(name, cursor -> {
            ObjectNode state = state(cursor.value());
            if (rests(state)) {
                return;
            }
            Map<String, Instant> surplus = new HashMap<>();
            long comparing = 0;
            long there = 0;
            String after = "";
            while (after != null) {
                long began = System.nanoTime();
                List<String> page = table.page(system, schema, after, PAGE);
                after = next(page);
                page = List.copyOf(new LinkedHashSet<>(page));
                Set<String> unknown = new LinkedHashSet<>(unknown(system, schema, page));
                comparing += System.nanoTime() - began;
                there += page.size() - unknown.size();
                for (List<String> some : pages(unheardOf(name, system, schema, unknown, surplus))) {
                    reader.read(system, schema, some);
                }
            }
            long began = System.nanoTime();
            long count = known(system, schema);
            Map<String, Instant> already = told.computeIfAbsent(name, n -> new HashMap<>());
            // as many known as are there: then none is gone, and the system need not be asked for each
            boolean none = count == there && already.isEmpty() && !state.has("braked") && !state.has("released");
            Set<String> gone = none ? new LinkedHashSet<>() : gone(system, schema);
            comparing += System.nanoTime() - began;
            counts.put(name, count);
            found.put(name, surplus);
            Instant since = Instant.now().minus(TOLD);
            already.keySet().retainAll(gone);
            already.values().removeIf(at -> at.isBefore(since));
            gone.removeAll(already.keySet());
            delete(name, system, schema, reader, state, gone, Math.max(20, count / 1000));
            long rest = Math.min(LONGEST_REST.toMillis(), (SHARE - 1) * comparing / 1_000_000);
            cursor.move(state.put("rests", Instant.now().plusMillis(rest).toString()));
        });
    }

    /** Whether the last sweep, of whichever instance, was so short a while ago that this one is to be left out. */
    private static boolean rests(ObjectNode state) {
        if (!state.has("rests")) {
            return false;
        }
        Instant until = Instant.parse(state.path("rests").asText());
        Instant now = Instant.now();
        // a clock that was put back must not stop the sweeps
        return now.isBefore(until) && until.isBefore(now.plus(LONGEST_REST.multipliedBy(2)));
    }

    /**
     * Of the keys that no base holds, those that are to be read: what the poll or a sweep has just read is on its way,
     * and a first load would be read again by every sweep until it is merged.
     *
     * @param surplus takes each of the keys, with when it was found or read again
     */
    private Set<String> unheardOf(
            String name, String system, Schema schema, Set<String> unknown, Map<String, Instant> surplus) {
        Map<String, Instant> before = found.getOrDefault(name, Map.of());
        Instant now = Instant.now();
        Set<String> toRead = new LinkedHashSet<>();
        for (String id : unknown) {
            Instant at = before.get(id);
            boolean first = at == null;
            if (first ? !poll.hasRead(system, schema, id) : at.isBefore(now.minus(TOLD))) {
                toRead.add(id);
                at = now;
            }
            surplus.put(id, first ? now : at);
        }
        return toRead;
    }

    private void delete(
            String name, String system, Schema schema, Reader reader, ObjectNode state, Set<String> gone, long bound) {
        boolean released = state.path("released").asBoolean(false);
        if (gone.size() + recent(state) > bound && !gone.isEmpty() && !released) {
            if (!state.has("braked")) {
                LOG.error(
                        "{} holds back {} deletions ({} are let through within an hour): see whether they are meant, "
                                + "then release them",
                        name,
                        gone.size(),
                        bound);
                state.put("since", Instant.now().toString());
            }
            state.put("braked", gone.size());
            return;
        }
        state.remove(List.of("braked", "since", "released"));
        for (List<String> page : pages(gone)) {
            reader.read(system, schema, page);
            page.forEach(id -> told.get(name).put(id, Instant.now()));
            // should it come back, that is news
            poll.forget(system, schema, page);
        }
        if (!gone.isEmpty()) {
            ObjectNode entry = Json.MAPPER.createObjectNode();
            entry.put("at", Instant.now().toString());
            entry.put("n", released ? 0 : gone.size());
            state.withArray("/deleted").add(entry);
        }
    }

    /**
     * Whether deletions that a log or a feed told are let through; they count as those of a sweep do. What is not let
     * through is left to the next sweep, which finds it and holds it back.
     */
    boolean lets(String system, Schema schema, Collection<String> gone) {
        List<String> held = held(system, schema, gone);
        if (held.isEmpty()) {
            return true;
        }
        String name = "sweep-" + system + '-' + schema.plural();
        long known = counts.computeIfAbsent(name, n -> known(system, schema));
        boolean[] let = {false};
        cursors.turn(name, cursor -> {
            ObjectNode state = state(cursor.value());
            let[0] = !state.has("braked") && held.size() + recent(state) <= Math.max(20, known / 1000);
            if (let[0]) {
                ObjectNode entry = Json.MAPPER.createObjectNode();
                entry.put("at", Instant.now().toString());
                entry.put("n", held.size());
                state.withArray("/deleted").add(entry);
                cursor.move(state);
            }
        });
        return let[0];
    }

    /** Of the keys, those of records that the system was known to hold. */
    List<String> held(String system, Schema schema, Collection<String> ids) {
        return jdbc.query(
                "select id from base where entity = ? and system = ? and present and id = any (?)",
                statement -> {
                    statement.setString(1, schema.entity());
                    statement.setString(2, system);
                    statement.setArray(3, statement.getConnection().createArrayOf("text", ids.toArray()));
                },
                (row, n) -> row.getString(1));
    }

    Optional<String> brake(String system, Schema schema) {
        JsonNode state = cursors.read("sweep-" + system + '-' + schema.plural());
        if (state == null || !state.has("braked")) {
            return Optional.empty();
        }
        return Optional.of(state.path("braked").asInt() + " deletions of " + schema.plural() + " at " + system
                + " are held back since " + state.path("since").asText());
    }

    void release(String system, Schema schema) {
        String name = "sweep-" + system + '-' + schema.plural();
        Instant until = Instant.now().plus(SWEEP_ENDS);
        // a sweep under way has the cursor
        while (!cursors.turn(name, cursor -> {
            ObjectNode state = state(cursor.value());
            state.remove("rests");
            cursor.move(state.put("released", true));
        })) {
            if (Instant.now().isAfter(until)) {
                throw new IllegalStateException(name + " is under way: release it again when it has ended");
            }
            LockSupport.parkNanos(Duration.ofMillis(20).toNanos());
        }
    }

    private static ObjectNode state(JsonNode value) {
        return value instanceof ObjectNode object ? object : Json.MAPPER.createObjectNode();
    }

    /** Deletions let through within the last hour; older entries are dropped. */
    private static int recent(ObjectNode state) {
        Instant hour = Instant.now().minus(Duration.ofHours(1));
        int count = 0;
        ArrayNode kept = Json.MAPPER.createArrayNode();
        for (JsonNode entry : state.path("deleted")) {
            if (Instant.parse(entry.path("at").asText()).isAfter(hour)) {
                count += entry.path("n").asInt();
                kept.add(entry);
            }
        }
        state.set("deleted", kept);
        return count;
    }

    /** The keys that no base holds; looked for one by one, whatever the table's statistics say. */
    private List<String> unknown(String system, Schema schema, List<String> ids) {
        return jdbc.query(
                """
                select u.id from unnest(?) as u (id) where not exists (
                  select from base where entity = ? and id = u.id and system || '' = ? and present offset 0)""",
                statement -> {
                    statement.setArray(1, statement.getConnection().createArrayOf("text", ids.toArray(String[]::new)));
                    statement.setString(2, schema.entity());
                    statement.setString(3, system);
                },
                (row, n) -> row.getString(1));
    }

    /** The keys that bases hold and the system does not have any more. */
    private Set<String> gone(String system, Schema schema) {
        Set<String> gone = new LinkedHashSet<>();
        String after = "";
        while (after != null) {
            // what is known is asked first: a key that is made meanwhile is then no key of the page
            List<String> page = jdbc.queryForList("""
                    select id from base
                    where entity = ? and system = ? and present and id collate "C" > ?
                    order by id collate "C" limit ?""", String.class, schema.entity(), system, after, PAGE);
            gone.addAll(page);
            table.there(system, schema, page).forEach(gone::remove);
            after = next(page);
        }
        return gone;
    }

    private long known(String system, Schema schema) {
        Long known = jdbc.queryForObject(
                "select count(*) from base where entity = ? and system = ? and present",
                Long.class,
                schema.entity(),
                system);
        return known == null ? 0 : known;
    }

    private static String next(List<String> page) {
        return page.size() < PAGE ? null : page.get(PAGE - 1);
    }

    private static List<List<String>> pages(Collection<String> ids) {
        List<String> all = List.copyOf(ids);
        List<List<String>> pages = new ArrayList<>();
        for (int i = 0; i < all.size(); i += READ) {
            pages.add(all.subList(i, Math.min(all.size(), i + READ)));
        }
        return pages;
    }
}
