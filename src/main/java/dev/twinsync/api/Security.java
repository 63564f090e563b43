package dev.twinsync.api;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.boot.actuate.autoconfigure.security.servlet.EndpointRequest;
import org.springframework.boot.actuate.health.HealthEndpoint;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatus;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.authority.AuthorityUtils;
import org.springframework.security.core.context.SecurityContext;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.www.BasicAuthenticationFilter;
import org.springframework.security.web.firewall.RequestRejectedHandler;
import org.springframework.web.filter.OncePerRequestFilter;

/** Rights: backends push and read records, ops do everything else, and what is not listed is refused. */
@Configuration
class Security {

    private static final String BACKEND = "BACKEND";
    private static final String[] READS = {"OPS", "VIEWER", "OPERATOR", "ADMIN"};
    private static final String[] ACTS = {"OPS", "OPERATOR", "ADMIN"};

    @Bean
    UserDetailsService people(Callers callers) {
        return new InMemoryUserDetailsManager(callers.people());
    }

    /** What the firewall refuses is told as such: sent on to the error page, it would be called a missing key. */
    @Bean
    RequestRejectedHandler rejected() {
        return (request, response, e) -> Problem.write(
                response,
                HttpStatus.BAD_REQUEST,
                "the address has something (.. ; % \\ // or a control character) that is taken in no path");
    }

    @Bean
    SecurityFilterChain filters(HttpSecurity http, Callers callers) throws Exception {
        return http.csrf(csrf -> csrf.disable()) // no cookie is ever an identity here
                .sessionManagement(session -> session.sessionCreationPolicy(SessionCreationPolicy.STATELESS)
                        .sessionFixation(fixation -> fixation.none())) // a call leaves the console's sessions alone
                .addFilterBefore(new KeyFilter(callers), BasicAuthenticationFilter.class)
                .httpBasic(basic -> basic.authenticationEntryPoint((request, response, e) ->
                        Problem.write(response, HttpStatus.UNAUTHORIZED, "name and password are not known")))
                .formLogin(form -> form.disable())
                .logout(logout -> logout.disable())
                .anonymous(Customizer.withDefaults())
                .authorizeHttpRequests(rights -> rights.requestMatchers(EndpointRequest.to(HealthEndpoint.class))
                        .permitAll()
                        .requestMatchers(EndpointRequest.toAnyEndpoint())
                        .hasAnyRole(READS)
                        .requestMatchers(HttpMethod.POST, "/sync_*", "/sync_*/batch")
                        .hasRole(BACKEND)
                        .requestMatchers("/sync_*", "/sync_*/*")
                        .hasRole(BACKEND)
                        .requestMatchers(HttpMethod.GET, "/openapi.yaml")
                        .permitAll()
                        .requestMatchers(
                                HttpMethod.GET,
                                "/conflicts",
                                "/dead-letters",
                                "/dead-letters/**",
                                "/verifications",
                                "/verifications/**",
                                "/diagnose",
                                "/*/*/timeline",
                                "/*/*/live",
                                "/flows",
                                "/flows/*",
                                "/audit",
                                "/alerts.yaml")
                        .hasAnyRole(READS)
                        .requestMatchers(HttpMethod.GET, "/capture/*", "/backfills/**")
                        .hasAnyRole(READS)
                        .requestMatchers("/capture/*")
                        .hasAnyRole("OPS", "ADMIN")
                        .requestMatchers(HttpMethod.GET, "/*/*")
                        .hasAnyRole("BACKEND", "OPS", "VIEWER", "OPERATOR", "ADMIN")
                        .requestMatchers(
                                HttpMethod.POST, "/conflicts/*/restore", "/dead-letters/*/*", "/sweeps/*/*/release")
                        .hasAnyRole(ACTS)
                        .anyRequest()
                        .hasAnyRole(ACTS))
                .exceptionHandling(refusals -> refusals.authenticationEntryPoint((request, response, e) -> {
                            response.setHeader("WWW-Authenticate", "Bearer");
                            Problem.write(
                                    response, HttpStatus.UNAUTHORIZED, "a key is needed: Authorization: Bearer …");
                        })
                        .accessDeniedHandler((request, response, e) ->
                                Problem.write(response, HttpStatus.FORBIDDEN, "this caller may not do this")))
                .build();
    }

    /** Whoever carries a key is the system, or the ops, whose key it is. */
    private static final class KeyFilter extends OncePerRequestFilter {

        private static final String BEARER = "bearer ";

        private final Callers callers;

        KeyFilter(Callers callers) {
            this.callers = callers;
        }

        @Override
        protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
                throws ServletException, IOException {
            String header = request.getHeader("Authorization");
            if (header != null && header.regionMatches(true, 0, BEARER, 0, BEARER.length())) {
                String caller = callers.of(header.substring(BEARER.length()).strip());
                if (caller == null) {
                    response.setHeader("WWW-Authenticate", "Bearer error=\"invalid_token\"");
                    Problem.write(response, HttpStatus.UNAUTHORIZED, "the key is not known");
                    return;
                }
                String role = caller.equals(Callers.OPS) ? "ROLE_OPS" : "ROLE_" + BACKEND;
                SecurityContext context = SecurityContextHolder.createEmptyContext();
                context.setAuthentication(UsernamePasswordAuthenticationToken.authenticated(
                        caller, null, AuthorityUtils.createAuthorityList(role)));
                SecurityContextHolder.setContext(context);
            }
            chain.doFilter(request, response);
        }
    }
}
