package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.zaxxer.hikari.HikariDataSource;
import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Ports;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A database, a broker and a mini-program of one test's own, and services as processes that can be killed. */
public final class World implements AutoCloseable {

    private static final Pattern PAUSE = Pattern.compile("Pause .* \\d+M->(\\d+)M\\(");

    public final Postgres server = Neighbours.get().postgres;
    public final String database;
    public final Broker broker;
    public final MiniProgram mini;

    /** Sessions of its database, for what a test does there. */
    final HikariDataSource sessions = new HikariDataSource();

    private final List<Service> services = new CopyOnWriteArrayList<>();
    private final List<Path> collections = new CopyOnWriteArrayList<>();
    private boolean closed;

    public World(String database) throws Exception {
        this.database = database;
        server.createApp(database);
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
        sessions.setJdbcUrl(server.url(database));
        sessions.setUsername("postgres");
        sessions.setPassword("postgres");
        sessions.setMaximumPoolSize(4);
    }

    /** One of the processes; its sessions of the sync database have a name of their own. */
    public final class Service {
        final String name;
        public final String url;
        private final Process process;

        private Service(String name, int port, Process process) {
            this.name = name;
            this.url = "http://127.0.0.1:" + port;
            this.process = process;
        }

        /** SIGKILL. */
        public void kill() throws InterruptedException {
            services.remove(this);
            process.destroyForcibly().waitFor();
        }

        private void answers() {
            await().atMost(Duration.ofMinutes(3))
                    .pollInterval(Duration.ofMillis(100))
                    .ignoreExceptions()
                    .until(() -> {
                        assertThat(process.isAlive()).isTrue();
                        return HttpClient.newHttpClient()
                                        .send(
                                                HttpRequest.newBuilder(URI.create(url + "/verifications"))
                                                        .header("Authorization", "Bearer ops-key")
                                                        .build(),
                                                HttpResponse.BodyHandlers.discarding())
                                        .statusCode()
                                == 200;
                    });
        }
    }

    /** The most that was left of a service's heap after a collection so far, in MiB. */
    public int heap() throws IOException {
        int most = 0;
        for (Path log : collections) {
            for (String line : Files.readAllLines(log)) {
                Matcher pause = PAUSE.matcher(line);
                if (pause.find()) {
                    most = Math.max(most, Integer.parseInt(pause.group(1)));
                }
            }
        }
        return most;
    }

    /**
     * Starts a service and waits until it answers.
     *
     * @param settings beat the usual ones; their names are as in the environment
     */
    public Service start(Map<String, String> settings) throws Exception {
        String name = database + '_' + (collections.size() + 1);
        server.execute("postgres", "drop role if exists " + name);
        server.execute("postgres", "create role " + name + " superuser login password 'postgres'");
        Path gc = Path.of("target", name + "-gc.log");
        Files.deleteIfExists(gc);
        collections.add(gc);
        int port = Ports.free();
        ProcessBuilder builder = new ProcessBuilder(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-Xlog:gc:file=" + gc,
                "-cp",
                System.getProperty("java.class.path"),
                "dev.twinsync.Twinsync"));
        Map<String, String> all = new HashMap<>(Neighbours.settings(server.url(database), broker, mini));
        all.putAll(Map.ofEntries(
                Map.entry("SYNC_DB_USERNAME", name),
                Map.entry("SYNC_DB_PASSWORD", "postgres"),
                Map.entry("VERIFY_EVERY", "0s"),
                Map.entry("VERIFY_SWEEP_DAYS", "0"),
                // beside what is known to be on its way, which is waited for in any case
                Map.entry("VERIFY_QUIET_FLOOR", "1s"),
                Map.entry("VERIFY_QUIET_LONGEST", "2s"),
                Map.entry("TWINSYNC_HEALTH_INTERVAL", "1s"),
                Map.entry("TWINSYNC_VERIFICATION_TURN_INTERVAL", "200ms"),
                Map.entry("VERIFY_MINI_CALLS_PER_SECOND", "3000"),
                Map.entry("VERIFY_APP_PAGES_PER_SECOND", "1000"),
                Map.entry("LOGGING_LEVEL_DEV_TWINSYNC_EVENTS", "warn"),
                Map.entry("SERVER_PORT", String.valueOf(port)),
                Map.entry("MANAGEMENT_PORT", String.valueOf(Ports.free())),
                // who was killed leaves its group sooner than in earnest
                Map.entry("CAMEL_COMPONENT_KAFKA_SESSIONTIMEOUTMS", "6000"),
                Map.entry("CAMEL_COMPONENT_KAFKA_HEARTBEATINTERVAL", "2000")));
        all.putAll(settings);
        builder.environment().putAll(all);
        builder.redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        Path.of("target", name + ".log").toFile()));
        Service service;
        synchronized (services) {
            // a test that has failed does not wait for what it has begun
            assertThat(closed).isFalse();
            service = new Service(name, port, builder.start());
            services.add(service);
        }
        service.answers();
        return service;
    }

    /** The services that have not been killed, the eldest first. */
    List<Service> services() {
        return List.copyOf(services);
    }

    /** Where its API is: that of the eldest service. */
    String url() {
        return services.get(0).url;
    }

    /** The service that has the lock of those who work verifications; between two turns none has. */
    Optional<Service> runner() throws SQLException {
        Set<String> holders = new HashSet<>();
        try (Connection connection = sessions.getConnection();
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("""
                        select usename from pg_stat_activity a where exists (
                          select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted
                            and l.database = a.datid
                            and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('twinsync/verification', 0))""")) {
            while (rows.next()) {
                holders.add(rows.getString(1));
            }
        }
        return services.stream()
                .filter(service -> holders.contains(service.name))
                .findFirst();
    }

    @Override
    public void close() throws Exception {
        synchronized (services) {
            closed = true;
        }
        for (Service service : services()) {
            service.kill();
        }
        sessions.close();
        mini.close();
        broker.close();
        server.dropApp(database);
        for (int i = 1; i <= collections.size(); i++) {
            server.execute("postgres", "drop role if exists " + database + '_' + i);
        }
    }
}
