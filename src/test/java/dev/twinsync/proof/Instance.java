package dev.twinsync.proof;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Ports;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An instance of the service as a process, told everything by its environment. */
final class Instance {

    static final int NOBODY = -1;

    private static final HttpClient HTTP =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();

    private static final Pattern COLLECTION = Pattern.compile("Pause .* \\d+M->(\\d+)M\\(");

    final String name;
    private final Process process;
    private final int port;
    private final int management;
    private final Path log;
    private final Path collections;

    private Instance(String name, Process process, int port, int management, Path log, Path collections) {
        this.name = name;
        this.process = process;
        this.port = port;
        this.management = management;
        this.log = log;
        this.collections = collections;
    }

    /** Starts one, and does not wait for it. */
    static Instance start(String name, Map<String, String> environment, List<String> arguments, Path folder)
            throws IOException {
        int port = Ports.free();
        int management = Ports.free();
        Map<String, String> all = new HashMap<>(environment);
        all.put("SERVER_PORT", String.valueOf(port));
        all.put("MANAGEMENT_PORT", String.valueOf(management));
        Path log = folder.resolve(name + ".log");
        Path collections = folder.resolve(name + ".gc.log");
        Process process = Processes.java(
                List.of("-Xmx384m", "-XX:TieredStopAtLevel=1", "-Xlog:gc:file=" + collections),
                "dev.twinsync.Twinsync",
                arguments,
                all,
                log);
        return new Instance(name, process, port, management, log, collections);
    }

    boolean isReady() {
        return isAlive() && status("/actuator/health/readiness") == 200;
    }

    boolean isAlive() {
        return process.isAlive();
    }

    String log() throws IOException {
        return Files.readString(log);
    }

    /** What was left of the heap after its last collection, in MiB. */
    int heapAfterCollection() throws IOException {
        int after = 0;
        for (String line : Files.readAllLines(collections)) {
            Matcher pause = COLLECTION.matcher(line);
            if (pause.find()) {
                after = Integer.parseInt(pause.group(1));
            }
        }
        return after;
    }

    /** SIGKILL. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** SIGTERM; false where it had to be killed after all. */
    boolean end() throws InterruptedException {
        process.destroy();
        boolean ended = process.waitFor(60, TimeUnit.SECONDS);
        if (!ended) {
            kill();
        }
        return ended;
    }

    /** SIGSTOP: everything stands still, and its connections stay open. */
    void freeze() throws IOException, InterruptedException {
        Processes.signal(process, "STOP");
    }

    /** SIGCONT. */
    void thaw() throws IOException, InterruptedException {
        Processes.signal(process, "CONT");
    }

    /** The status of an answer, 0 where there is none, {@link #NOBODY} where nobody listens and nothing was sent. */
    int push(String entity, String body) {
        try {
            return pushed(entity, body).statusCode();
        } catch (ConnectException e) {
            return NOBODY;
        } catch (IOException e) {
            return 0;
        }
    }

    HttpResponse<String> pushed(String entity, String body) throws IOException {
        return send(HttpRequest.newBuilder(URI.create(url() + "/sync_" + entity + "_data"))
                .header("Authorization", "Bearer " + Secrets.MINI)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body)));
    }

    String url() {
        return "http://127.0.0.1:" + port;
    }

    /** What ops see; a path of /actuator is asked on the management port. */
    String get(String path) throws IOException {
        String url = path.startsWith("/actuator") ? "http://127.0.0.1:" + management : url();
        return send(HttpRequest.newBuilder(URI.create(url + path)).header("Authorization", "Bearer " + Secrets.OPS))
                .body();
    }

    JsonNode json(String path) throws IOException {
        return Json.read(get(path));
    }

    int post(String path, String body) throws IOException {
        return send(HttpRequest.newBuilder(URI.create(url() + path))
                        .header("Authorization", "Bearer " + Secrets.OPS)
                        .header("Content-Type", "application/json")
                        .POST(BodyPublishers.ofString(body)))
                .statusCode();
    }

    private int status(String path) {
        try {
            return send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + management + path)))
                    .statusCode();
        } catch (IOException e) {
            return 0;
        }
    }

    private static HttpResponse<String> send(HttpRequest.Builder request) throws IOException {
        try {
            return HTTP.send(request.timeout(Duration.ofSeconds(20)).build(), HttpResponse.BodyHandlers.ofString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
    }
}
