package dev.twinsync.benchmark;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Ports;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The packaged service as a process of its own, told everything by its environment. */
final class Service implements AutoCloseable {

    private static final Path JAR = Path.of("target", "twinsync.jar");
    private static final Path FOLDER = Path.of("target", "benchmark");
    private static final Pattern PAUSE = Pattern.compile("Pause .* (\\d+)M->(\\d+)M\\(\\d+M\\) ([0-9.]+)ms");

    private final Process process;
    private final int port;
    private final int management;

    private Service(Process process, int port, int management) {
        this.process = process;
        this.port = port;
        this.management = management;
    }

    static Service start(String heap, Map<String, String> settings) throws IOException {
        if (!Files.exists(JAR)) {
            throw new IllegalStateException(JAR + " is not there: run mvn -Pbenchmark verify, which packages it first");
        }
        Files.createDirectories(FOLDER);
        Files.deleteIfExists(FOLDER.resolve("gc.log"));
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx" + heap));
        command.add("-Xlog:gc:file=" + FOLDER.resolve("gc.log"));
        // of its options those that suit much work on few cores; further ones may ask for a flight recording, say
        String more = System.getProperty("benchmark.jvm", "-XX:+UseParallelGC -Xmn300m");
        if (!more.isBlank()) {
            command.addAll(List.of(more.split(" ")));
        }
        command.addAll(List.of("-jar", JAR.toString()));
        ProcessBuilder builder = new ProcessBuilder(command);
        int port = Ports.free();
        int management = Ports.free();
        builder.environment().putAll(settings);
        builder.environment().put("SERVER_PORT", String.valueOf(port));
        builder.environment().put("MANAGEMENT_PORT", String.valueOf(management));
        builder.redirectErrorStream(true)
                .redirectOutput(FOLDER.resolve("service.log").toFile());
        return new Service(builder.start(), port, management);
    }

    /** Whether it takes work; throws where it has ended instead. */
    boolean isReady() throws InterruptedException {
        if (!process.isAlive()) {
            throw new IllegalStateException("the service has ended: see " + FOLDER.resolve("service.log"));
        }
        try {
            HttpRequest request = HttpRequest.newBuilder(
                            URI.create("http://127.0.0.1:" + management + "/actuator/health/readiness"))
                    .build();
            return HttpClient.newHttpClient()
                            .send(request, HttpResponse.BodyHandlers.ofString())
                            .statusCode()
                    == 200;
        } catch (IOException e) {
            return false;
        }
    }

    /** Calls its API as ops. @return what it answers */
    JsonNode call(String method, String path, String body) throws Exception {
        Caller caller = new Caller("http://127.0.0.1:" + port);
        HttpResponse<String> answer = caller.send(caller.request("ops-key", path)
                .header("Content-Type", "application/json")
                .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body)));
        if (answer.statusCode() >= 300) {
            throw new IllegalStateException(method + " " + path + ": " + answer.statusCode() + " " + answer.body());
        }
        return Json.read(answer.body());
    }

    /** What its process has used of the processors so far. */
    Duration cpu() {
        return process.info().totalCpuDuration().orElse(Duration.ZERO);
    }

    /** @param after the most that was left of the heap after a collection, in MiB */
    record Collections(int count, double pausedMs, int after) {}

    Collections collections() throws IOException {
        int count = 0;
        int after = 0;
        double paused = 0;
        for (String line : Files.readAllLines(FOLDER.resolve("gc.log"))) {
            Matcher pause = PAUSE.matcher(line);
            if (pause.find()) {
                count++;
                after = Math.max(after, Integer.parseInt(pause.group(2)));
                paused += Double.parseDouble(pause.group(3));
            }
        }
        return new Collections(count, paused, after);
    }

    @Override
    public void close() throws InterruptedException {
        process.destroy();
        if (!process.waitFor(40, java.util.concurrent.TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }
}
