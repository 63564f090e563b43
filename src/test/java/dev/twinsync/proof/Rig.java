package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import ch.qos.logback.classic.Level;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.Comparison;
import dev.twinsync.Uncommitted;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Ports;
import dev.twinsync.devservices.Postgres;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.awaitility.core.ConditionTimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/**
 * A database, a broker and a mini-program of one run's own, each behind a proxy, and as many instances of the service as
 * it starts; each of them can be ended and started again. The run itself reaches its neighbours past the proxies.
 */
final class Rig implements AutoCloseable {

    static final Duration SESSION = Duration.ofSeconds(6);

    /** What anything may take on a machine that is busy with other things. */
    static final Duration LONGEST = Duration.ofMinutes(5);

    /**
     * A write that is worked for longer has been given up by whoever sent it, 3 s after it was sent: what comes after it
     * does not come at once with it. (Less, since it may have been a second on its way.)
     */
    static final Duration PATIENCE = Duration.ofSeconds(2);

    private static final List<String> SETTINGS = List.of(
            // what happens within a minute in earnest happens within seconds here
            "--camel.component.kafka.session-timeout-ms=" + SESSION.toMillis(),
            "--camel.component.kafka.heartbeat-interval=2000",
            "--camel.component.http.response-timeout=3000",
            "--camel.component.http.so-timeout=3000",
            "--twinsync.delivery.sweep-after=5s",
            "--twinsync.delivery.sweep-interval=2s",
            "--twinsync.health.interval=1s",
            "--spring.jmx.enabled=false");

    static {
        // where no service sets it, the log would tell of every packet
        ((ch.qos.logback.classic.Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME)).setLevel(Level.WARN);
    }

    final long seed;
    final Path folder;
    final Postgres postgres;
    final MiniProgram mini;
    final TcpProxy toDatabase;
    final TcpProxy toBroker;
    final TcpProxy toMini;
    final JdbcTemplate app;
    final List<Instance> instances = new CopyOnWriteArrayList<>();
    private final Schemas schemas = Schemas.load(Path.of("routes"));
    private final int brokerPort = Ports.free();
    private final Path brokerFolder = Files.createTempDirectory("twinsync-kafka");
    private Process broker;
    private int lost;
    private int started;

    /** @param name of the folder under target/proof that takes the logs */
    Rig(String name, long seed) throws Exception {
        this.seed = seed;
        System.out.println(name + ": -Dtwinsync.seed=" + seed);
        folder = Path.of("target", "proof", name);
        clear(folder);
        Files.createDirectories(folder);
        postgres = Postgres.start(0);
        postgres.createAppTables();
        postgres.execute("create role rig login superuser password '" + Secrets.DATABASE + "'");
        mini = MiniProgram.start(0);
        mini.apiKey(Secrets.MINI_API);
        toDatabase = TcpProxy.before(postgres.port(), seed);
        toBroker = TcpProxy.before(brokerPort, seed + 1);
        toMini = TcpProxy.before(Integer.parseInt(mini.url().replaceAll(".*:", "")), seed + 2);
        app = new JdbcTemplate(new DriverManagerDataSource(postgres.url(), "postgres", "postgres"));
        startBroker();
    }

    /** The seed of this run: {@code -Dtwinsync.seed}, or a new one. */
    static long seed() {
        return Long.getLong("twinsync.seed", System.nanoTime());
    }

    private static void clear(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.walk(folder)) {
                files.sorted(Comparator.reverseOrder())
                        .forEach(file -> file.toFile().delete());
            }
        }
    }

    // -- the broker

    void startBroker() throws IOException {
        broker = Processes.java(
                List.of("-Xmx320m", "-XX:TieredStopAtLevel=1"),
                BrokerProcess.class.getName(),
                List.of(String.valueOf(brokerPort), String.valueOf(toBroker.port()), brokerFolder.toString()),
                Map.of(),
                folder.resolve("broker.log"));
        await("the broker").atMost(LONGEST).until(() -> {
            assertThat(broker.isAlive()).isTrue();
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress("127.0.0.1", brokerPort), 500);
                return true;
            } catch (IOException e) {
                return false;
            }
        });
    }

    void killBroker() throws InterruptedException {
        broker.destroyForcibly().waitFor();
    }

    /** SIGSTOP. */
    void freezeBroker() throws IOException, InterruptedException {
        Processes.signal(broker, "STOP");
    }

    /** SIGCONT. */
    void thawBroker() throws IOException, InterruptedException {
        Processes.signal(broker, "CONT");
    }

    /**
     * Whether the broker serves some groups no more: after a kill the group coordinator of Kafka 4.1 may lose its place in
     * its own log, and finds it only when it is started once more.
     */
    boolean brokerIsLost() throws IOException {
        String told = Files.readString(folder.resolve("broker.log"));
        int times = told.split("is out of sync with the underlying log", -1).length - 1;
        boolean again = times > lost;
        lost = times;
        return again;
    }

    // -- instances

    /** Starts an instance and does not wait for it. */
    Instance begin(String... more) throws IOException {
        List<String> arguments = new ArrayList<>(SETTINGS);
        arguments.addAll(List.of(more));
        Instance instance = Instance.start("instance-" + ++started, environment(), arguments, folder);
        instances.add(instance);
        return instance;
    }

    Instance start(String... more) throws IOException {
        Instance instance = begin(more);
        ready(instance);
        return instance;
    }

    static void ready(Instance instance) {
        await(instance.name)
                .atMost(LONGEST)
                .pollInterval(Duration.ofMillis(100))
                .until(() -> {
                    if (!instance.isAlive()) {
                        throw new AssertionError(instance.log());
                    }
                    return instance.isReady();
                });
    }

    void kill(Instance instance) throws InterruptedException {
        instances.remove(instance);
        instance.kill();
    }

    /** @return whether it ended by itself in time */
    boolean end(Instance instance) throws InterruptedException {
        instances.remove(instance);
        return instance.end();
    }

    private Map<String, String> environment() {
        return Map.ofEntries(
                Map.entry("APP_DB_URL", "jdbc:postgresql://127.0.0.1:" + toDatabase.port() + "/app"),
                Map.entry("APP_DB_USERNAME", "rig"),
                Map.entry("APP_DB_PASSWORD", Secrets.DATABASE),
                Map.entry("KAFKA_BROKERS", "127.0.0.1:" + toBroker.port()),
                Map.entry("MINI_API_URL", "http://127.0.0.1:" + toMini.port()),
                Map.entry("MINI_API_KEY", Secrets.MINI_API),
                Map.entry("MINI_SIGNING_SECRET", Secrets.SIGNING),
                Map.entry("SYNC_API_KEY_APP", Secrets.APP),
                Map.entry("SYNC_API_KEY_MINI", Secrets.MINI),
                Map.entry("SYNC_API_KEY_OPS", Secrets.OPS),
                Map.entry("KAFKA_CLIENT_METADATA_MAX_AGE_MS", "3000"),
                Map.entry("APP_KEY_SWEEP_INTERVAL", "2s"),
                Map.entry("VERIFY_EVERY", "0s"),
                Map.entry("VERIFY_SWEEP_DAYS", "0"));
    }

    // -- what there is

    long count(String what) {
        Long count = app.queryForObject("select count(*) from " + what, Long.class);
        return count == null ? 0 : count;
    }

    /** Letters that were ever made: record, system and cause of each. */
    List<String> letters() {
        return app.queryForList("""
                select concat_ws(' ', entity, record_id, 'at', system, slot, route, state, error::text)
                from sync.dead_letter order by id""", String.class);
    }

    /** All golden records, in one text that any change changes. */
    String golden() {
        return app.queryForObject(
                "select md5(string_agg(entity || id || version || held::text, '' order by entity, id)) from sync.golden",
                String.class);
    }

    /** All rows of the app, each with the transaction that wrote it: in one text that any write changes. */
    String rows() {
        return app.queryForObject("""
                select md5(string_agg(written, ' ' order by written)) from (
                  select concat_ws(' ', user_id, xmin) as written from users
                  union all select concat_ws(' ', order_id, xmin) from orders
                  union all select concat_ws(' ', order_id, line_no, xmin) from order_items) rows""", String.class);
    }

    /** Bases that are owed something, or that are in doubt; what waits for a field that nobody has stated is owed nothing yet. */
    long due() {
        return count("sync.base b where doubt or waiting_for is null and exists"
                + " (select from sync.due d where d.entity = b.entity and d.id = b.id and d.system = b.system)");
    }

    /** Turns of polls and sweeps whose instance has given no sign of life for so long. */
    long turns(Duration silent) {
        return count("""
                pg_locks l join pg_stat_activity a on a.pid = l.pid
                join sync.cursor c on (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('twinsync/' || c.name, 0)
                where l.locktype = 'advisory' and a.state = 'idle in transaction'
                  and clock_timestamp() - a.state_change > interval '%d ms'""".formatted(silent.toMillis()));
    }

    Admin kafka() {
        return Admin.create(Map.of(
                "bootstrap.servers",
                "127.0.0.1:" + brokerPort,
                "request.timeout.ms",
                "10000",
                "default.api.timeout.ms",
                "20000"));
    }

    /** Records in Kafka that their flows have not committed yet. */
    long lag() throws Exception {
        try (Admin kafka = kafka()) {
            return Uncommitted.in(kafka, schemas);
        }
    }

    /**
     * How many messages of either version an instance of the other may have read: those of this version that came after
     * the first of a later one, and those of a later one before the last of this; the fewer of the two.
     */
    int mixed(String topic) {
        Map<Long, List<Integer>> versions = new TreeMap<>();
        Map<String, Object> settings = Map.of("bootstrap.servers", "127.0.0.1:" + brokerPort);
        try (KafkaConsumer<byte[], byte[]> kafka =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = kafka.partitionsFor(topic).stream()
                    .map(partition -> new TopicPartition(topic, partition.partition()))
                    .toList();
            kafka.assign(partitions);
            kafka.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = kafka.endOffsets(partitions);
            while (partitions.stream().anyMatch(partition -> kafka.position(partition) < ends.get(partition))) {
                for (ConsumerRecord<byte[], byte[]> one : kafka.poll(Duration.ofSeconds(1))) {
                    versions.computeIfAbsent(one.timestamp(), t -> new ArrayList<>())
                            .add(Json.stored(one.value()).path("v").asInt(1));
                }
            }
        }
        List<Integer> inTurn = versions.values().stream().flatMap(List::stream).toList();
        int first = inTurn.indexOf(LaterVersion.NUMBER);
        int last = inTurn.lastIndexOf(1);
        if (first < 0 || last < first) {
            return 0;
        }
        List<Integer> beside = inTurn.subList(first, last + 1);
        return Math.min(Collections.frequency(beside, 1), Collections.frequency(beside, LaterVersion.NUMBER));
    }

    /** The ids of a consumer group's members: who joins anew gets another. */
    Set<String> members(String group) throws Exception {
        try (Admin kafka = kafka()) {
            Set<String> members = new TreeSet<>();
            kafka.describeConsumerGroups(List.of(group))
                    .all()
                    .get()
                    .get(group)
                    .members()
                    .forEach(member -> members.add(member.consumerId()));
            return members;
        }
    }

    /** Waits until each of so many instances, and nobody else, is a member of the groups of which it is one member. */
    void shared(int instances) {
        await(instances + " members of each group")
                .atMost(LONGEST)
                .pollInterval(Duration.ofMillis(100))
                .ignoreExceptions()
                .until(() -> members("deliver-app-order").size() == instances
                        && members("deliver-mini-user").size() == instances);
    }

    // -- the final check

    /** Waits until both ends and the golden records are the same in every field, with nothing under way, and stay so. */
    void becomesEqual() throws IOException {
        try {
            await("both ends and the golden records are equal, and quiet")
                    .atMost(LONGEST)
                    .pollInterval(Duration.ofMillis(500))
                    .ignoreExceptions()
                    .untilAsserted(() -> {
                        assertThat(differences()).isEmpty();
                        assertThat(due()).as("bases that are owed something").isZero();
                        assertThat(lag()).as("records in Kafka to be worked").isZero();
                    });
        } catch (ConditionTimeoutException e) {
            Files.writeString(folder.resolve("differing.txt"), told());
            throw e;
        }
        // and nothing comes after it
        long since = System.nanoTime();
        int writes = mini.writes().size();
        await().atMost(LONGEST).until(() -> System.nanoTime() - since > 2_000_000_000L);
        assertThat(mini.writes()).as("writes when all is quiet").hasSize(writes);
        assertThat(differences()).isEmpty();
    }

    /** All that is known of the records that differ. */
    private String told() throws IOException {
        StringBuilder told = new StringBuilder();
        for (String difference : differences()) {
            String id = difference.substring(0, difference.indexOf(' '));
            told.append(difference).append('\n');
            for (String table : List.of("golden", "base", "due", "history", "conflict")) {
                String key = table.equals("conflict") ? "record_id" : "id";
                app.queryForList(
                                "select row_to_json(t)::text from sync." + table + " t where " + key + " = ?",
                                String.class,
                                id)
                        .forEach(row ->
                                told.append(table).append(' ').append(row).append('\n'));
            }
            schemas.all().forEach(schema -> mini.became(schema.entity(), id)
                    .forEach(state -> told.append(state).append('\n')));
            mini.writes().stream().filter(write -> write.id().equals(id)).forEach(write -> told.append(write)
                    .append('\n'));
        }
        return told.toString();
    }

    List<String> differences() throws IOException {
        List<String> differences = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            Map<String, Map<String, JsonNode>> golden = new TreeMap<>();
            app.query(
                    "select id, held::text from sync.golden where entity = ?",
                    row -> {
                        Map<String, JsonNode> values = new HashMap<>();
                        Json.read(row.getString(2)).properties().forEach(field -> {
                            JsonNode value = field.getValue();
                            if (!value.isNull()) {
                                values.put(field.getKey(), value);
                            }
                        });
                        golden.put(row.getString(1), values);
                    },
                    schema.entity());
            Map<String, Map<String, JsonNode>> atMini = new HashMap<>();
            mini.all(schema.entity())
                    .forEach((id, data) -> atMini.put(id, Comparison.normal(schema, (ObjectNode) data)));
            Map<String, Map<String, JsonNode>> atApp = atApp(schema);
            atMini.keySet().forEach(id -> golden.putIfAbsent(id, Map.of()));
            atApp.keySet().forEach(id -> golden.putIfAbsent(id, Map.of()));
            differences.addAll(Comparison.differences(golden, Map.of("app", atApp, "mini", atMini)));
        }
        return differences;
    }

    private Map<String, Map<String, JsonNode>> atApp(Schema schema) throws IOException {
        String sql = Files.readString(Path.of("routes", schema.plural(), "read-app-" + schema.plural() + ".sql"))
                .replace(":?ids", "?");
        String[] ids = app.queryForList("select " + schema.key() + " from " + schema.plural(), String.class)
                .toArray(String[]::new);
        Map<String, Map<String, JsonNode>> read = new HashMap<>();
        app.query(
                connection -> {
                    Array array = connection.createArrayOf("text", ids);
                    var statement = connection.prepareStatement(sql);
                    statement.setArray(1, array);
                    return statement;
                },
                row -> {
                    read.put(row.getString("id"), Comparison.normal(schema, (ObjectNode)
                            Json.read(row.getString("data"))));
                });
        return read;
    }

    @Override
    public void close() throws Exception {
        for (Instance instance : instances) {
            instance.thaw();
            instance.kill();
        }
        mini.close();
        broker.destroyForcibly().waitFor();
        toMini.close();
        toBroker.close();
        toDatabase.close();
        clear(brokerFolder);
        postgres.close();
    }
}
