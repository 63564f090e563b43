package dev.twinsync.verification;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Broker;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A database, a broker and a mini-program of one test's own, and the service as a process that can be killed. */
final class Instance implements AutoCloseable {

    private static final Pattern PAUSE = Pattern.compile("Pause .* \\d+M->(\\d+)M\\(");

    final Postgres server = Neighbours.get().postgres;
    final String database;
    final Broker broker;
    final MiniProgram mini;
    final String url;
    private final int port;
    private final Path gc;
    private Process service;

    Instance(String database) throws Exception {
        this.database = database;
        server.createApp(database);
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
        port = free();
        url = "http://127.0.0.1:" + port;
        gc = Path.of("target", database + "-gc.log");
        Files.deleteIfExists(gc);
    }

    private static int free() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    /** @param settings beat the usual ones; their names are as in the environment */
    void start(Map<String, String> settings) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-Xlog:gc:file=" + gc,
                "-cp",
                System.getProperty("java.class.path"),
                "dev.twinsync.Twinsync"));
        ProcessBuilder builder = new ProcessBuilder(command);
        Map<String, String> all = new HashMap<>(Map.ofEntries(
                Map.entry("APP_DB_URL", server.url(database)),
                Map.entry("APP_DB_USERNAME", "postgres"),
                Map.entry("APP_DB_PASSWORD", "postgres"),
                Map.entry("KAFKA_BROKERS", broker.address()),
                Map.entry("MINI_API_URL", mini.url()),
                Map.entry("MINI_API_KEY", "mini-api-key"),
                Map.entry("SYNC_API_KEY_APP", "app-key"),
                Map.entry("SYNC_API_KEY_MINI", "mini-key"),
                Map.entry("SYNC_API_KEY_OPS", "ops-key"),
                Map.entry("VERIFY_EVERY", "0s"),
                Map.entry("VERIFY_SWEEP_DAYS", "0"),
                Map.entry("VERIFY_QUIET_FLOOR", "1s"),
                Map.entry("VERIFY_QUIET_LONGEST", "3s"),
                Map.entry("VERIFY_MINI_CALLS_PER_SECOND", "3000"),
                Map.entry("VERIFY_APP_PAGES_PER_SECOND", "1000"),
                Map.entry("LOGGING_LEVEL_DEV_TWINSYNC_EVENTS", "warn"),
                Map.entry("TWINSYNC_DEV", "true"),
                Map.entry("SERVER_PORT", String.valueOf(port)),
                Map.entry("MANAGEMENT_PORT", String.valueOf(free())),
                // who was killed leaves its group sooner than in earnest
                Map.entry("CAMEL_COMPONENT_KAFKA_SESSIONTIMEOUTMS", "6000"),
                Map.entry("CAMEL_COMPONENT_KAFKA_HEARTBEATINTERVAL", "2000")));
        all.putAll(settings);
        builder.environment().putAll(all);
        builder.redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(
                        Path.of("target", database + ".log").toFile()));
        service = builder.start();
        await().atMost(Duration.ofMinutes(3))
                .pollInterval(Duration.ofMillis(100))
                .ignoreExceptions()
                .until(() -> {
                    assertThat(service.isAlive()).isTrue();
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

    /** SIGKILL. */
    void kill() throws InterruptedException {
        service.destroyForcibly().waitFor();
    }

    /** The most that was left of the heap after a collection since the last start, in MiB. */
    int heap() throws IOException {
        int most = 0;
        for (String line : Files.readAllLines(gc)) {
            Matcher pause = PAUSE.matcher(line);
            if (pause.find()) {
                most = Math.max(most, Integer.parseInt(pause.group(1)));
            }
        }
        return most;
    }

    @Override
    public void close() throws Exception {
        if (service != null) {
            kill();
        }
        mini.close();
        broker.close();
        server.dropApp(database);
    }
}
