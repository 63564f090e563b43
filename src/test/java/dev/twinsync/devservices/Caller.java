package dev.twinsync.devservices;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Json;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.springframework.context.ConfigurableApplicationContext;

/** Calls a service as its neighbours and its operators do. */
public final class Caller {

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private final String api;
    private final String management;

    /** @param api where the API of a service in another process is; its management is not called */
    public Caller(String api) {
        this.api = api;
        this.management = api;
    }

    /** @param service in this JVM */
    public Caller(ConfigurableApplicationContext service) {
        api = "http://127.0.0.1:" + service.getEnvironment().getProperty("local.server.port");
        management = "http://127.0.0.1:" + service.getEnvironment().getProperty("local.management.port");
    }

    /** @param path of the API; a path of /actuator goes to the management port; {@code key} may be null */
    public HttpRequest.Builder request(String key, String path) {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create((path.startsWith("/actuator") ? management : api) + path));
        return key == null ? request : request.header("Authorization", "Bearer " + key);
    }

    public HttpRequest.Builder management(String key, String path) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(management + path));
        return key == null ? request : request.header("Authorization", "Bearer " + key);
    }

    public HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        return HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    public HttpResponse<String> get(String key, String path) throws Exception {
        return send(request(key, path));
    }

    public HttpResponse<String> post(String key, String path, String body) throws Exception {
        return send(request(key, path)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)));
    }

    public JsonNode json(String key, String path) throws Exception {
        return Json.read(get(key, path).body());
    }
}
