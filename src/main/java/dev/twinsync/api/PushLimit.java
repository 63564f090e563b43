package dev.twinsync.api;

import io.github.resilience4j.bulkhead.Bulkhead;
import io.github.resilience4j.bulkhead.BulkheadConfig;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.security.Principal;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Component;
import org.springframework.web.servlet.HandlerInterceptor;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

/** How many pushes of one backend are taken at a time: the rest is asked to come again, and nothing of it is taken. */
@Component
class PushLimit implements HandlerInterceptor, WebMvcConfigurer {

    private static final String HELD = PushLimit.class.getName();

    private final Map<String, Bulkhead> callers = new ConcurrentHashMap<>();
    private final BulkheadConfig config;

    PushLimit(@Value("${twinsync.api.pushes-at-once}") int most) {
        config = BulkheadConfig.custom()
                .maxConcurrentCalls(most)
                .maxWaitDuration(Duration.ZERO)
                .build();
    }

    @Override
    public void addInterceptors(InterceptorRegistry registry) {
        registry.addInterceptor(this).addPathPatterns("/sync_*", "/sync_*/**");
    }

    Bulkhead of(String caller) {
        return callers.computeIfAbsent(caller, name -> Bulkhead.of(name, config));
    }

    @Override
    public boolean preHandle(HttpServletRequest request, HttpServletResponse response, Object handler) {
        Principal caller = request.getUserPrincipal();
        Bulkhead limit = of(caller == null ? "" : caller.getName());
        if (!limit.tryAcquirePermission()) {
            throw new Problem(HttpStatus.TOO_MANY_REQUESTS, "too many pushes at once: nothing was taken, try again");
        }
        request.setAttribute(HELD, limit);
        return true;
    }

    @Override
    public void afterCompletion(HttpServletRequest request, HttpServletResponse response, Object handler, Exception e) {
        if (request.getAttribute(HELD) instanceof Bulkhead limit) {
            limit.onComplete();
        }
    }
}
