package dev.twinsync.state;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Golden.FieldState;
import dev.twinsync.merge.Ticks;
import dev.twinsync.record.Json;
import dev.twinsync.record.Times;
import java.sql.Array;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.springframework.jdbc.core.ConnectionCallback;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.TransactionDefinition;
import org.springframework.transaction.support.TransactionSynchronizationManager;
import org.springframework.transaction.support.TransactionTemplate;

/** {@link Records} in PostgreSQL: each method is a handful of set statements, whatever the number of records. */
@Component("records")
class JdbcRecords implements Records {

    /**
     * For the transaction: rows are found by their keys, one by one in the order that they are given in, which is the
     * order of all locks; so the plan can be made once, and nothing that it was made for can change. Above all a table
     * that was empty when the plan was made is not read whole for each key once it is full.
     */
    private static final String BY_KEYS = """
            select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
              set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)""";

    private static final String SAVE_NEW_GOLDEN = """
            insert into golden (entity, id, version, held, origins)
            select ?, u.id, u.version, u.held::json, u.origins::json
            from unnest(?::text[], ?::bigint[], ?::text[], ?::text[]) as u (id, version, held, origins)
            order by u.id collate "C"
            on conflict do nothing
            returning id""";

    /**
     * Where a row of {@code golden} or {@code base} lies, found one by one by the primary key, whatever the table's
     * statistics say: a join might read all of an entity where a first load is younger than they are. A row that another
     * writes meanwhile lies elsewhere then, and may be missed, as is one that has moved on: it is read again.
     */
    private static final String PLACE = "(select ctid from %s where entity = ? and id = s.id%s) as place";

    private static final String SAVE_GOLDEN = """
            update golden g set version = u.version, held = u.held::json, origins = u.origins::json,
              updated_at = clock_timestamp()
            from (select s.*, %s
              from unnest(?::text[], ?::bigint[], ?::bigint[], ?::text[], ?::text[])
                as s (id, read, version, held, origins)
              order by s.id collate "C" offset 0) as u
            where g.ctid = u.place and g.version = u.read
            returning g.id""".formatted(PLACE.formatted("golden", ""));

    /** What a base is saved with, a row each. */
    private static final String BASES = """
            unnest(?::text[], ?::text[], ?::boolean[], ?::boolean[], ?::text[], ?::text[], ?::bigint[], ?::bigint[],
              ?::boolean[], ?::bigint[], ?::text[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::int[],
              ?::bigint[], ?::timestamptz[], ?::text[])
              as s (id, system, known, present, held, position, tick_began, tick_ended, doubt, doubt_at, detail, seen,
                revision, waiting_for, refused, key_number, key_version, observed_at, digest)""";

    private static final String SAVE_NEW_BASES = """
            insert into base (entity, id, system, known, present, held, position, tick_began, tick_ended, doubt,
              doubt_at, detail, seen, revision, waiting_for, refused, key_number, key_guard, key_version, observed_at, digest)
            select ?, id, system, known, present, held::json, position, tick_began, tick_ended, doubt,
              doubt_at, detail::json, seen, revision, string_to_array(waiting_for, ','), refused, key_number, position,
              key_version, observed_at, digest
            from %s
            order by id collate "C", system collate "C"
            on conflict do nothing
            returning id, system""".formatted(BASES);

    private static final String SAVE_BASES = """
            update base b set
              known = u.known, present = u.present, position = u.position, held = coalesce(u.held::json, b.held),
              tick_began = u.tick_began, tick_ended = u.tick_ended, doubt = u.doubt,
              doubt_at = u.doubt_at, detail = u.detail::json, seen = u.seen, revision = u.revision,
              waiting_for = string_to_array(u.waiting_for, ','), refused = u.refused,
              -- a number is taken with the intent, whose position is the guard of what is sent
              key_guard = case when b.key_number = u.key_number and b.key_version = u.key_version
                then b.key_guard else u.position end,
              key_number = u.key_number, key_version = u.key_version,
              observed_at = coalesce(u.observed_at, b.observed_at),
              -- what was held then is told by the digest as long as nothing else is known to be held
              digest = case when b.tick_began = u.tick_began and b.tick_ended = u.tick_ended
                then coalesce(u.digest, b.digest) else u.digest end
            from (select s.*, %s from %s order by s.id collate "C", s.system collate "C" offset 0) as u
            where b.ctid = u.place and b.revision = u.revision - 1
            returning b.id, b.system""".formatted(PLACE.formatted("base", " and system = s.system"), BASES);

    /** Key by key, as all that is under {@link #BY_KEYS}: a table's statistics may be older than what is in it. */
    private static final String LOAD_GOLDEN = """
            select g.* from (select ?::text as entity, unnest(?::text[]) as id offset 0) as u
            cross join lateral (
              select id, version, held, origins from golden where entity = u.entity and id = u.id offset 0) as g""";

    private static final String LOAD_BASES = """
            with u as materialized (select ?::text as entity, unnest(?::text[]) as id)
            select id, system, d.since, d.judged, b.* from (
              select b.* from u cross join lateral (
                select * from base where entity = u.entity and id = u.id offset 0) as b) as b
            full join (
              select d.* from u cross join lateral (
                select id, system, since, version as judged from due
                where entity = u.entity and id = u.id offset 0) as d) as d
              using (id, system)""";

    private static final String LOAD_BASES_OF_ONE = """
            with u as materialized (select ?::text as entity, unnest(?::text[]) as id, ?::text as system)
            select id, system, d.since, d.judged, b.* from (
              select b.* from u cross join lateral (
                select * from base where entity = u.entity and id = u.id and system = u.system offset 0) as b) as b
            full join (
              select d.* from u cross join lateral (
                select id, system, since, version as judged from due
                where entity = u.entity and id = u.id and system = u.system offset 0) as d) as d
              using (id, system)""";

    private static final String LOCK_DUE = """
            select from (select ?::text as entity, id from unnest(?::text[]) as s (id) order by id collate "C" offset 0) as u
            cross join lateral (
              select from due where entity = u.entity and id = u.id order by system for update) as d""";

    private static final String MARK_DUE = """
            insert into due as d (entity, id, system, version)
            select ?, u.id, u.system, u.version from unnest(?::text[], ?::text[], ?::bigint[]) as u (id, system, version)
            order by u.id collate "C", u.system collate "C"
            on conflict (entity, id, system) do update set version = excluded.version
            where d.version < excluded.version""";

    /** What was judged by an older golden version can't say that nothing is owed any more. */
    private static final String CLEAR_DUE = """
            delete from due where ctid = any (array(
              -- one by one by the key, as ALIKE: a table that comes and goes is never what its statistics say
              select (select d.ctid from due d
                where d.entity = ? and d.id = u.id and d.system = u.system and d.version <= u.version for update)
              from (select * from unnest(?::text[], ?::text[], ?::bigint[]) as s (id, system, version)
                order by id collate "C", system collate "C") as u))""";

    /** A conflict is over when its field has moved on: there is nothing left that its value could be put back over. */
    private static final String CLOSE_CONFLICTS = """
            update conflict c set state = 'closed'
            from unnest(?::text[], ?::text[], ?::bigint[]) as u (id, path, version)
            where c.entity = ? and c.record_id = u.id and c.path = u.path and c.state = 'open'
              and c.field_version < u.version""";

    /** A row that is being written is passed over: what is written tells its own digest, and nobody waits for us. */
    private static final String SAVE_DIGESTS = """
            with shown as (
              select b.entity, b.id, b.system, u.digest
              from (select ?::text as entity, s.* from unnest(?::text[], ?::text[], ?::text[], ?::text[])
                as s (id, system, position, digest) offset 0) as u
              join base b on b.entity = u.entity and b.id = u.id and b.system = u.system and b.position = u.position
              where b.digest is null
              for no key update of b skip locked)
            update base b set digest = shown.digest from shown
            where b.entity = shown.entity and b.id = shown.id and b.system = shown.system""";

    /**
     * One by one by the primary key, whatever the statistics of a young table say.
     */
    private static final String ALIKE = """
            select b.*, g.version from unnest(?::text[], ?::text[]) as u (id, position)
            cross join lateral (select * from base
              where entity = ? and id = u.id and system = ? and position = u.position offset 0) as b
            cross join lateral (select version from golden where entity = ? and id = u.id offset 0) as g""";

    private static final String SETTLE = """
            update base b set detail = u.detail::json, tick_began = u.tick_began, tick_ended = u.tick_ended,
              observed_at = u.observed_at, digest = u.digest, revision = u.revision + 1
            from (select s.*, %s
              from unnest(?::text[], ?::bigint[], ?::text[], ?::bigint[], ?::bigint[], ?::timestamptz[], ?::text[])
                as s (id, revision, detail, tick_began, tick_ended, observed_at, digest)
              order by s.id collate "C" offset 0) as u
            where b.ctid = u.place and b.revision = u.revision
            returning b.id""".formatted(PLACE.formatted("base", " and system = ?"));

    private static final String SAVE_CONFLICTS = """
            insert into conflict (entity, record_id, path, system, losing, winning, winner, rule, field_version)
            select ?, u.id, u.path, u.system, u.losing::jsonb, u.winning::jsonb, u.winner, u.rule, u.field_version
            from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[])
              as u (id, path, system, losing, winning, winner, rule, field_version)""";

    private static final String SAVE_HISTORY = """
            insert into history (entity, id, kind, system, version, fields, rule, loser, note)
            select ?, u.id, u.kind, u.system, u.version, u.fields::json, u.rule, u.loser::json, u.note
            from unnest(?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[])
              as u (id, kind, system, version, fields, rule, loser, note)""";

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;

    /** For what is not to hold its rows for as long as the transaction that it is called in. */
    private final TransactionTemplate apart;

    JdbcRecords(JdbcTemplate jdbc, TransactionTemplate transaction) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        apart = new TransactionTemplate(transaction.getTransactionManager());
        apart.setPropagationBehavior(TransactionDefinition.PROPAGATION_REQUIRES_NEW);
    }

    @Override
    public long tick() {
        Long tick = jdbc.queryForObject("select nextval('tick')", Long.class);
        return tick == null ? 0 : tick;
    }

    @Override
    public Map<String, Snapshot> load(String entity, Collection<String> ids) {
        return load(entity, ids, null);
    }

    @Override
    public Map<String, Snapshot> load(String entity, Collection<String> ids, String system) {
        if (TransactionSynchronizationManager.isActualTransactionActive()) {
            // its settings are its own
            return read(entity, ids, system);
        }
        return transaction.execute(status -> {
            // a golden record and bases that were never true together would let a base be saved for a version that has
            // passed, and the keys be forgotten that were used since
            jdbc.execute("set transaction isolation level repeatable read, read only");
            byKeys();
            return read(entity, ids, system);
        });
    }

    private Map<String, Snapshot> read(String entity, Collection<String> ids, String system) {
        String[] keys = ids.stream().distinct().toArray(String[]::new);
        Map<String, Golden> goldens = new HashMap<>();
        Map<String, Map<String, Base>> bases = new HashMap<>();
        Map<String, Map<String, Delivery>> deliveries = new HashMap<>();
        Moments moments = new Moments();
        Map<String, Parsed> parsed = new HashMap<>();
        jdbc.query(connection -> statement(connection, LOAD_GOLDEN, entity, keys, null), row -> {
            String id = row.getString(1);
            Parsed held = new Parsed(row.getBytes(3));
            parsed.put(id, held);
            goldens.put(id, new Golden(id, row.getLong(2), fields(held.json, row.getBytes(4), moments)));
        });
        String sql = system == null ? LOAD_BASES : LOAD_BASES_OF_ONE;
        jdbc.query(connection -> statement(connection, sql, entity, keys, system), row -> {
            String id = row.getString("id");
            String of = row.getString("system");
            byte[] held = row.getBytes("held");
            if (held != null) {
                Parsed golden = parsed.get(id);
                JsonNode values = golden != null && golden.is(held) ? golden.json : Json.stored(held);
                bases.computeIfAbsent(id, k -> new HashMap<>()).put(of, base(row, new Stored(values)));
            }
            Golden judged = goldens.get(id);
            deliveries
                    .computeIfAbsent(id, k -> new HashMap<>())
                    .put(of, delivery(row, judged == null ? 0 : judged.version()));
        });
        Map<String, Snapshot> snapshots = new LinkedHashMap<>();
        for (String id : keys) {
            snapshots.put(
                    id,
                    new Snapshot(
                            goldens.getOrDefault(id, Golden.none(id)),
                            bases.getOrDefault(id, Map.of()),
                            deliveries.getOrDefault(id, Map.of())));
        }
        return snapshots;
    }

    private static PreparedStatement statement(
            Connection connection, String sql, String entity, String[] keys, String system) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        statement.setString(1, entity);
        statement.setArray(2, connection.createArrayOf("text", keys));
        if (system != null) {
            statement.setString(3, system);
        }
        return statement;
    }

    @Override
    public List<String> save(String entity, Collection<Change> changes) {
        List<Change> open = new ArrayList<>(changes);
        Set<String> lost = new HashSet<>();
        // all or nothing per record: where a fence fails, the others are written without that record
        while (!open.isEmpty()) {
            List<Change> now = open;
            Set<String> failed = transaction.execute(status -> {
                Set<String> fenced = write(entity, now);
                if (!fenced.isEmpty()) {
                    status.setRollbackOnly();
                }
                return fenced;
            });
            if (failed == null || failed.isEmpty()) {
                break;
            }
            lost.addAll(failed);
            open = now.stream().filter(c -> !failed.contains(c.id())).toList();
        }
        return List.copyOf(lost);
    }

    private Set<String> write(String entity, List<Change> changes) {
        return jdbc.execute((ConnectionCallback<Set<String>>) connection -> {
            byKeys(connection);
            Set<String> fenced = new HashSet<>();
            goldens(connection, entity, changes, fenced);
            bases(connection, entity, changes, fenced);
            if (fenced.isEmpty()) {
                due(connection, entity, changes);
                digests(connection, entity, changes);
                conflicts(connection, entity, changes);
                closeConflicts(connection, entity, changes);
                history(connection, entity, changes);
            }
            return fenced;
        });
    }

    private void byKeys() {
        jdbc.execute((ConnectionCallback<Void>) connection -> {
            byKeys(connection);
            return null;
        });
    }

    private static void byKeys(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(BY_KEYS)) {
            statement.execute();
        }
    }

    private static void goldens(Connection connection, String entity, List<Change> changes, Set<String> fenced)
            throws SQLException {
        Moments moments = new Moments();
        List<Change> made = changes.stream()
                .filter(c -> c.golden() != null && c.readVersion() == 0)
                .toList();
        if (!made.isEmpty()) {
            try (PreparedStatement statement = connection.prepareStatement(SAVE_NEW_GOLDEN)) {
                statement.setString(1, entity);
                statement.setArray(2, texts(connection, made.stream().map(Change::id)));
                statement.setArray(
                        3, longs(connection, made.stream().map(c -> c.golden().version())));
                statement.setArray(4, texts(connection, made.stream().map(c -> held(c.golden()))));
                statement.setArray(5, texts(connection, made.stream().map(c -> origins(c.golden(), moments))));
                fence(statement, made, fenced);
            }
        }
        List<Change> moved = changes.stream()
                .filter(c -> c.golden() != null && c.readVersion() > 0)
                .toList();
        if (!moved.isEmpty()) {
            try (PreparedStatement statement = connection.prepareStatement(SAVE_GOLDEN)) {
                statement.setString(1, entity);
                statement.setArray(2, texts(connection, moved.stream().map(Change::id)));
                statement.setArray(3, longs(connection, moved.stream().map(Change::readVersion)));
                statement.setArray(
                        4, longs(connection, moved.stream().map(c -> c.golden().version())));
                statement.setArray(5, texts(connection, moved.stream().map(c -> held(c.golden()))));
                statement.setArray(6, texts(connection, moved.stream().map(c -> origins(c.golden(), moments))));
                fence(statement, moved, fenced);
            }
        }
    }

    private static void fence(PreparedStatement statement, List<Change> changes, Set<String> fenced)
            throws SQLException {
        Set<String> written = new HashSet<>();
        try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                written.add(rows.getString(1));
            }
        }
        for (Change change : changes) {
            if (!written.contains(change.id())) {
                fenced.add(change.id());
            }
        }
    }

    /** @param version of the golden record, for which the base was judged and its keys are counted */
    private record Row(String id, BaseChange change, long version) {
        Base base() {
            return change.base();
        }
    }

    private static void bases(Connection connection, String entity, List<Change> changes, Set<String> fenced)
            throws SQLException {
        List<Row> rows = changes.stream()
                .flatMap(c -> c.bases().stream().map(b -> new Row(c.id(), b, c.judged())))
                .toList();
        if (rows.isEmpty()) {
            return;
        }
        Set<String> written = new HashSet<>();
        // of a base that is stored nowhere yet all is known, also what it holds
        Map<Boolean, List<Row>> stored =
                rows.stream().collect(Collectors.partitioningBy(r -> r.base().revision() > 0));
        for (Map.Entry<Boolean, List<Row>> some : stored.entrySet()) {
            if (some.getValue().isEmpty()) {
                continue;
            }
            String sql = some.getKey() ? SAVE_BASES : SAVE_NEW_BASES;
            try (PreparedStatement s = connection.prepareStatement(sql)) {
                s.setString(1, entity);
                bases(connection, s, 2, some.getValue());
                try (ResultSet result = s.executeQuery()) {
                    while (result.next()) {
                        written.add(result.getString(1) + '\n' + result.getString(2));
                    }
                }
            }
        }
        for (Row row : rows) {
            if (!written.contains(row.id() + '\n' + row.base().system())) {
                fenced.add(row.id());
            }
        }
    }

    private static void bases(Connection connection, PreparedStatement s, int first, List<Row> rows)
            throws SQLException {
        List<Array> columns = List.of(
                texts(connection, rows.stream().map(Row::id)),
                texts(connection, rows.stream().map(r -> r.base().system())),
                booleans(connection, rows.stream().map(r -> r.base().known())),
                booleans(connection, rows.stream().map(r -> r.base().exists())),
                texts(connection, rows.stream().map(r -> held(r.base()))),
                texts(connection, rows.stream().map(r -> r.base().position())),
                longs(connection, rows.stream().map(r -> r.base().ticks().began())),
                longs(connection, rows.stream().map(r -> r.base().ticks().ended())),
                booleans(connection, rows.stream().map(r -> r.base().doubt())),
                longs(connection, rows.stream().map(r -> r.base().doubtAt())),
                texts(connection, rows.stream().map(r -> detail(r.base()))),
                longs(connection, rows.stream().map(r -> r.base().seen())),
                longs(connection, rows.stream().map(r -> r.base().revision() + 1)),
                texts(
                        connection,
                        rows.stream()
                                .map(r -> r.change().waitingFor().isEmpty()
                                        ? null
                                        : String.join(",", r.change().waitingFor()))),
                longs(connection, rows.stream().map(r -> r.change().refused())),
                connection.createArrayOf(
                        "int", rows.stream().map(r -> r.change().keyNumber()).toArray(Integer[]::new)),
                longs(connection, rows.stream().map(Row::version)),
                texts(
                        connection,
                        rows.stream()
                                .map(r -> r.change().observedAt() == null
                                        ? null
                                        : Times.text(r.change().observedAt()))),
                texts(connection, rows.stream().map(r -> r.change().digest())));
        for (int i = 0; i < columns.size(); i++) {
            s.setArray(first + i, columns.get(i));
        }
    }

    private record Judged(String id, String system, long version) {}

    private static void due(Connection connection, String entity, List<Change> changes) throws SQLException {
        Set<Judged> marked = new LinkedHashSet<>();
        Set<Judged> cleared = new LinkedHashSet<>();
        for (Change c : changes) {
            c.owed().forEach(system -> marked.add(new Judged(c.id(), system, c.judged())));
            for (BaseChange b : c.bases()) {
                Delivery former = b.former();
                boolean stays =
                        former != null && (b.due() ? former.dueVersion() >= c.judged() : former.dueSince() == null);
                if (!stays) {
                    (b.due() ? marked : cleared).add(new Judged(c.id(), b.base().system(), c.judged()));
                }
            }
        }
        if (!marked.isEmpty() && !cleared.isEmpty()) {
            // they are taken in two rounds, and two writers could each wait for what the other has: first all, in one
            // order
            try (PreparedStatement s = connection.prepareStatement(LOCK_DUE)) {
                s.setString(1, entity);
                s.setArray(2, texts(connection, changes.stream().map(Change::id)));
                s.execute();
            }
        }
        if (!marked.isEmpty()) {
            try (PreparedStatement s = connection.prepareStatement(MARK_DUE)) {
                s.setString(1, entity);
                judged(connection, s, 2, marked);
                s.executeUpdate();
            }
        }
        if (!cleared.isEmpty()) {
            try (PreparedStatement s = connection.prepareStatement(CLEAR_DUE)) {
                s.setString(1, entity);
                judged(connection, s, 2, cleared);
                s.executeUpdate();
            }
        }
    }

    private static void judged(Connection connection, PreparedStatement s, int first, Set<Judged> rows)
            throws SQLException {
        s.setArray(first, texts(connection, rows.stream().map(Judged::id)));
        s.setArray(first + 1, texts(connection, rows.stream().map(Judged::system)));
        s.setArray(first + 2, longs(connection, rows.stream().map(Judged::version)));
    }

    private static void digests(Connection connection, String entity, List<Change> changes) throws SQLException {
        List<Of<Map.Entry<String, Shown>>> rows = changes.stream()
                .flatMap(c -> c.digests().entrySet().stream().map(shown -> new Of<>(c.id(), shown)))
                .toList();
        if (rows.isEmpty()) {
            return;
        }
        try (PreparedStatement s = connection.prepareStatement(SAVE_DIGESTS)) {
            s.setString(1, entity);
            s.setArray(2, texts(connection, rows.stream().map(Of::id)));
            s.setArray(3, texts(connection, rows.stream().map(r -> r.item().getKey())));
            s.setArray(
                    4,
                    texts(connection, rows.stream().map(r -> r.item().getValue().position())));
            s.setArray(
                    5,
                    texts(connection, rows.stream().map(r -> r.item().getValue().digest())));
            s.executeUpdate();
        }
    }

    private record Of<T>(String id, T item) {}

    private static void conflicts(Connection connection, String entity, List<Change> changes) throws SQLException {
        List<Of<Conflict>> rows = changes.stream()
                .flatMap(c -> c.conflicts().stream().map(x -> new Of<>(c.id(), x)))
                .toList();
        if (rows.isEmpty()) {
            return;
        }
        try (PreparedStatement s = connection.prepareStatement(SAVE_CONFLICTS)) {
            s.setString(1, entity);
            s.setArray(2, texts(connection, rows.stream().map(Of::id)));
            s.setArray(3, texts(connection, rows.stream().map(r -> r.item().path())));
            s.setArray(4, texts(connection, rows.stream().map(r -> r.item().system())));
            s.setArray(5, texts(connection, rows.stream().map(r -> json(r.item().losing()))));
            s.setArray(6, texts(connection, rows.stream().map(r -> json(r.item().winning()))));
            s.setArray(7, texts(connection, rows.stream().map(r -> r.item().winner())));
            s.setArray(8, texts(connection, rows.stream().map(r -> r.item().rule())));
            s.setArray(9, longs(connection, rows.stream().map(r -> r.item().fieldVersion())));
            s.executeUpdate();
        }
    }

    private static void history(Connection connection, String entity, List<Change> changes) throws SQLException {
        List<Of<Event>> rows = changes.stream()
                .flatMap(c -> c.events().stream().map(x -> new Of<>(c.id(), x)))
                .toList();
        if (rows.isEmpty()) {
            return;
        }
        try (PreparedStatement s = connection.prepareStatement(SAVE_HISTORY)) {
            s.setString(1, entity);
            s.setArray(2, texts(connection, rows.stream().map(Of::id)));
            s.setArray(3, texts(connection, rows.stream().map(r -> r.item().kind())));
            s.setArray(4, texts(connection, rows.stream().map(r -> r.item().system())));
            s.setArray(5, longs(connection, rows.stream().map(r -> r.item().version())));
            s.setArray(6, texts(connection, rows.stream().map(r -> json(r.item().fields()))));
            s.setArray(7, texts(connection, rows.stream().map(r -> r.item().rule())));
            s.setArray(8, texts(connection, rows.stream().map(r -> json(r.item().loser()))));
            s.setArray(9, texts(connection, rows.stream().map(r -> r.item().note())));
            s.executeUpdate();
        }
    }

    private static void closeConflicts(Connection connection, String entity, List<Change> changes) throws SQLException {
        record Moved(String id, String path, long version) {}
        List<Moved> rows = changes.stream()
                .filter(c -> c.golden() != null && c.readVersion() > 0)
                .flatMap(c -> c.golden().fields().entrySet().stream()
                        .filter(field -> field.getValue().version() > c.readVersion())
                        .map(field -> new Moved(
                                c.id(), field.getKey(), field.getValue().version())))
                .toList();
        if (rows.isEmpty()) {
            return;
        }
        try (PreparedStatement s = connection.prepareStatement(CLOSE_CONFLICTS)) {
            s.setArray(1, texts(connection, rows.stream().map(Moved::id)));
            s.setArray(2, texts(connection, rows.stream().map(Moved::path)));
            s.setArray(3, longs(connection, rows.stream().map(Moved::version)));
            s.setString(4, entity);
            s.executeUpdate();
        }
    }

    @Override
    public Map<String, Held> alike(
            String entity,
            String system,
            Map<String, String> positions,
            Function<String, Map<String, JsonNode>> shown) {
        Map<String, Held> alike = new HashMap<>();
        // in that of a poll's turn, if there is one: all else that it does is to keep its cursor
        transaction.executeWithoutResult(status -> {
            byKeys();
            alike(entity, system, positions, shown, alike);
        });
        return alike;
    }

    private void alike(
            String entity,
            String system,
            Map<String, String> positions,
            Function<String, Map<String, JsonNode>> shown,
            Map<String, Held> alike) {
        jdbc.query(
                connection -> {
                    PreparedStatement s = connection.prepareStatement(ALIKE);
                    s.setArray(1, texts(connection, positions.keySet().stream()));
                    s.setArray(2, texts(connection, positions.values().stream()));
                    s.setString(3, entity);
                    s.setString(4, system);
                    s.setString(5, entity);
                    return s;
                },
                row -> {
                    String id = row.getString("id");
                    Map<String, JsonNode> values = shown.apply(id);
                    // equal values are equal texts: what is held need not be read
                    if (values != null
                            && Arrays.equals(row.getBytes("held"), held(values).getBytes(UTF_8))) {
                        alike.put(
                                id,
                                new Held(
                                        base(row, new HashMap<>(values)),
                                        row.getLong("version"),
                                        row.getString("digest")));
                    }
                });
    }

    @Override
    public Set<String> settle(String entity, String system, Map<String, Settled> settled) {
        List<Map.Entry<String, Settled>> rows = List.copyOf(settled.entrySet());
        List<String> written = apart.execute(status -> jdbc.query(
                connection -> {
                    byKeys(connection);
                    return settle(connection, entity, system, rows);
                },
                (row, n) -> row.getString(1)));
        return written == null ? Set.of() : Set.copyOf(written);
    }

    private static PreparedStatement settle(
            Connection connection, String entity, String system, List<Map.Entry<String, Settled>> rows)
            throws SQLException {
        PreparedStatement s = connection.prepareStatement(SETTLE);
        s.setString(1, entity);
        s.setString(2, system);
        s.setArray(3, texts(connection, rows.stream().map(Map.Entry::getKey)));
        s.setArray(4, longs(connection, bases(rows).map(Base::revision)));
        s.setArray(5, texts(connection, bases(rows).map(JdbcRecords::detail)));
        s.setArray(6, longs(connection, bases(rows).map(base -> base.ticks().began())));
        s.setArray(7, longs(connection, bases(rows).map(base -> base.ticks().ended())));
        s.setArray(
                8,
                texts(
                        connection,
                        rows.stream().map(row -> Times.text(row.getValue().observedAt()))));
        s.setArray(9, texts(connection, rows.stream().map(row -> row.getValue().digest())));
        return s;
    }

    private static Stream<Base> bases(List<Map.Entry<String, Settled>> rows) {
        return rows.stream().map(row -> row.getValue().base());
    }

    @Override
    public List<DueKey> due(String entity, String system, Instant before, DueKey after, int limit) {
        return jdbc.query(
                """
                select d.since, d.id from due d
                left join base b on b.entity = d.entity and b.id = d.id and b.system = d.system
                where d.entity || '/' || d.system = ? and d.since < ? and (d.since, d.id) > (?, ?)
                  and not exists (select from golden g where g.entity = d.entity and g.id = d.id and g.version = b.refused)
                  and not exists (select from unnest(b.waiting_for) as missing (field)
                    where not exists (select from golden g where g.entity = d.entity and g.id = d.id
                      and g.held ->> missing.field is not null))
                order by d.since, d.id limit ?""",
                (row, n) -> new DueKey(row.getTimestamp(1).toInstant(), row.getString(2)),
                entity + '/' + system,
                Timestamp.from(before),
                Timestamp.from(after.since()),
                after.id(),
                limit);
    }

    @Override
    public List<Waiting> waitingFor(String system, String field, Collection<String> ids) {
        return jdbc.query(
                connection -> {
                    PreparedStatement s = connection.prepareStatement("""
                            select b.entity, b.id from base b join golden g on g.entity = b.entity and g.id = b.id
                            where b.system = ? and b.waiting_for = array[?]::text[] and g.held ->> ? = any (?)""");
                    s.setString(1, system);
                    s.setString(2, field);
                    s.setString(3, field);
                    s.setArray(4, connection.createArrayOf("text", ids.toArray()));
                    return s;
                },
                (row, n) -> new Waiting(row.getString(1), row.getString(2)));
    }

    // arrays of these very types go over the wire as bytes; as Object[] they would be spelled out and escaped
    private static Array texts(Connection connection, Stream<String> values) throws SQLException {
        return connection.createArrayOf("text", values.toArray(String[]::new));
    }

    private static Array longs(Connection connection, Stream<Long> values) throws SQLException {
        return connection.createArrayOf("bigint", values.toArray(Long[]::new));
    }

    private static Array booleans(Connection connection, Stream<Boolean> values) throws SQLException {
        return connection.createArrayOf("boolean", values.toArray(Boolean[]::new));
    }

    private static String json(JsonNode value) {
        return value == null ? null : Json.text(value);
    }

    /** A moment and its text, each made once a batch: the fields of a record share few, and to parse one is dear. */
    private static final class Moments {
        private final Map<String, Instant> parsed = new HashMap<>();
        private final Map<Instant, String> written = new HashMap<>();

        Instant of(String text) {
            return parsed.computeIfAbsent(text, Times::read);
        }

        String of(Instant moment) {
            return written.computeIfAbsent(moment, Times::text);
        }
    }

    /** Values that were read once: a system mostly holds, to the byte, what the golden record does. */
    private static final class Parsed {
        private final byte[] text;
        private final JsonNode json;

        Parsed(byte[] text) {
            this.text = text;
            this.json = Json.stored(text);
        }

        boolean is(byte[] other) {
            return Arrays.equals(text, other);
        }
    }

    private static String held(Golden golden) {
        // in the order of the paths, as a base's are, so that equal values are equal texts
        Map<String, JsonNode> held = new TreeMap<>();
        golden.fields().forEach((path, state) -> {
            if (state.value() != null) {
                held.put(path, state.value());
            }
        });
        return Json.text(held);
    }

    private record Origin(long version, String system, Instant time) {}

    /** Most fields came with few changes: what they have in common is written once. */
    private static String origins(Golden golden, Moments moments) {
        Map<Origin, ArrayNode> paths = new HashMap<>();
        golden.fields().forEach((path, state) -> paths.computeIfAbsent(
                        new Origin(state.version(), state.system(), state.time()),
                        origin -> Json.MAPPER.createArrayNode())
                .add(path));
        ArrayNode origins = Json.MAPPER.createArrayNode();
        paths.forEach((origin, of) -> origins.addObject()
                .put("n", origin.version())
                .put("s", origin.system())
                .put("t", moments.of(origin.time()))
                .set("f", of));
        return Json.text(origins);
    }

    private static Map<String, FieldState> fields(JsonNode held, byte[] origins, Moments moments) {
        Map<String, FieldState> fields = new HashMap<>();
        for (JsonNode origin : Json.stored(origins)) {
            long version = origin.get("n").asLong();
            String system = origin.get("s").asText();
            Instant time = moments.of(origin.get("t").asText());
            for (JsonNode path : origin.get("f")) {
                fields.put(path.asText(), new FieldState(held.get(path.asText()), version, system, time));
            }
        }
        return fields;
    }

    /** What a row holds, as it was read: as long as a base has this very map, the row has it already. */
    private static final class Stored extends HashMap<String, JsonNode> {
        Stored(JsonNode object) {
            super(object.size() * 4 / 3 + 1);
            object.properties().forEach(entry -> put(entry.getKey(), entry.getValue()));
        }
    }

    /** What to write of the values held; null where the row is to keep what it has. */
    private static String held(Base base) {
        return base.revision() > 0 && base.held() instanceof Stored ? null : held(base.held());
    }

    private static String held(Map<String, JsonNode> values) {
        return Json.text(new TreeMap<>(values));
    }

    private static String detail(Base base) {
        if (base.unusable().isEmpty()
                && base.intents().isEmpty()
                && base.sent().isEmpty()
                && base.stated().isEmpty()
                && base.wrote() == null) {
            return null;
        }
        ObjectNode detail = Json.MAPPER.createObjectNode();
        if (!base.unusable().isEmpty()) {
            ArrayNode unusable = detail.putArray("unusable");
            base.unusable().forEach(unusable::add);
        }
        if (!base.intents().isEmpty()) {
            ObjectNode intents = detail.putObject("intents");
            base.intents().forEach((path, values) -> {
                ArrayNode array = intents.putArray(path);
                values.forEach(array::add);
            });
        }
        if (!base.sent().isEmpty()) {
            ObjectNode sent = detail.putObject("sent");
            base.sent().forEach(sent::set);
        }
        if (!base.stated().isEmpty()) {
            ObjectNode stated = detail.putObject("stated");
            base.stated().forEach((path, said) -> {
                ObjectNode one = stated.putObject(path);
                one.set("v", said.value());
                one.put("t", Times.text(said.at()));
            });
        }
        if (base.wrote() != null) {
            detail.put("wrote", base.wrote());
        }
        return Json.text(detail);
    }

    private static Base base(ResultSet row, Map<String, JsonNode> held) throws SQLException {
        byte[] text = row.getBytes("detail");
        JsonNode detail = text == null ? Json.MAPPER.createObjectNode() : Json.stored(text);
        Set<String> unusable = new HashSet<>();
        detail.path("unusable").forEach(name -> unusable.add(name.asText()));
        Map<String, List<JsonNode>> intents = new HashMap<>();
        detail.path("intents").properties().forEach(entry -> {
            List<JsonNode> values = new ArrayList<>();
            entry.getValue().forEach(values::add);
            intents.put(entry.getKey(), values);
        });
        Map<String, Base.Stated> stated = new HashMap<>();
        detail.path("stated")
                .properties()
                .forEach(entry -> stated.put(
                        entry.getKey(),
                        new Base.Stated(
                                entry.getValue().get("v"),
                                Times.read(entry.getValue().get("t").asText()))));
        return new Base(
                row.getString("system"),
                row.getBoolean("known"),
                row.getBoolean("present"),
                held,
                unusable,
                row.getString("position"),
                new Ticks(row.getLong("tick_began"), row.getLong("tick_ended")),
                row.getBoolean("doubt"),
                row.getLong("doubt_at"),
                intents,
                map(detail.path("sent")),
                stated,
                detail.path("wrote").isMissingNode()
                        ? null
                        : detail.path("wrote").asText(),
                row.getLong("seen"),
                row.getLong("revision"));
    }

    private static Map<String, JsonNode> map(JsonNode object) {
        Map<String, JsonNode> map = new HashMap<>();
        object.properties().forEach(entry -> map.put(entry.getKey(), entry.getValue()));
        return map;
    }

    private static Delivery delivery(ResultSet row, long version) throws SQLException {
        Timestamp due = row.getTimestamp("since");
        Timestamp observed = row.getTimestamp("observed_at");
        Array waiting = row.getArray("waiting_for");
        long refused = row.getLong("refused");
        boolean none = row.wasNull();
        return new Delivery(
                due == null ? null : due.toInstant(),
                row.getLong("judged"),
                waiting == null ? List.of() : Arrays.asList((String[]) waiting.getArray()),
                none ? null : refused,
                row.getLong("key_version") == version ? row.getInt("key_number") : 0,
                row.getString("key_guard"),
                observed == null ? null : observed.toInstant());
    }
}
